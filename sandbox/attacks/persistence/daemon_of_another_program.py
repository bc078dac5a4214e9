"""Leaves another program running: `sleep`, under a name of its own, without any open file.

Expect: not passed
"""

import os
import time

if os.fork() == 0:
    if os.fork():
        os._exit(0)
    os.closerange(0, 256)
    for path in ("/bin/sleep", "/usr/bin/sleep"):
        try:
            os.execv(path, ["recode-attack-sleep", "30"])
        except OSError:
            pass
    os._exit(1)
time.sleep(0.1)
