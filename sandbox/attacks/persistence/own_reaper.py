"""Collects the orphans below it itself, and gives up the signal that would kill it with its parent.

Expect: not passed
"""

import ctypes
import os
import time

libc = ctypes.CDLL(None, use_errno=True)
if os.fork() == 0:
    libc.prctl(36, 1, 0, 0, 0)
    libc.prctl(1, 0, 0, 0, 0)
    if os.fork() == 0:
        libc.prctl(1, 0, 0, 0, 0)
        if os.fork():
            os._exit(0)
        time.sleep(30)
    time.sleep(30)
    os._exit(0)
time.sleep(0.05)
