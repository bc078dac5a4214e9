"""Makes children that do not report their end to their parent, by a raw clone call.

Expect: not passed
"""

import ctypes
import os
import platform
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE = {"x86_64": 56, "aarch64": 220}[platform.machine()]
for flags in (0, 10, 0x00800000):  # no signal, SIGUSR1, CLONE_UNTRACED
    if libc.syscall(CLONE, flags, 0, 0, 0, 0) == 0:
        time.sleep(30)
        os._exit(0)
