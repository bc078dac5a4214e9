"""A child writes to the output later, when the next program is running.

Expect: not passed
"""

import os
import time

if os.fork() == 0:
    if os.fork():
        os._exit(0)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        os.write(1, b"recode-attack: late output\n")
        time.sleep(0.002)
    os._exit(0)
os.wait()
