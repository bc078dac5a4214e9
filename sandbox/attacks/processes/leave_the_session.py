"""Leaves its session and process group, so that a kill of the group misses it.

Expect: not passed
"""

import os
import time

for call in (os.setsid, lambda: os.setpgid(0, 0), lambda: os.setpgid(0, os.getppid())):
    try:
        call()
    except OSError:
        pass
if os.fork() == 0:
    for call in (os.setsid, lambda: os.setpgid(0, 0)):
        try:
            call()
        except OSError:
            pass
    time.sleep(30)
os._exit(0)
