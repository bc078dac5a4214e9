"""Makes a child whose parent is its own parent, so that it is a sibling and not a descendant.

Expect: not passed
"""

import ctypes
import os
import platform
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE = {"x86_64": 56, "aarch64": 220}[platform.machine()]
CLONE_PARENT = 0x00008000
for signal in (17, 0):
    if libc.syscall(CLONE, CLONE_PARENT | signal, 0, 0, 0, 0) == 0:
        time.sleep(30)
        os._exit(0)
