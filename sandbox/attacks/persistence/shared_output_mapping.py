"""Maps the output file into memory and keeps changing it from a child.

Expect: not passed
"""

import mmap
import os
import time

os.ftruncate(1, 4096)
view = mmap.mmap(1, 4096)
if os.fork() == 0:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        view[0:13] = b"recode-attack"
        time.sleep(0.001)
    os._exit(0)
time.sleep(0.05)
