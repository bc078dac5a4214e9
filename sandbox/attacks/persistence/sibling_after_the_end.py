"""Makes siblings that end at once, in a stream, to confuse who waits for whom.

Expect: not passed
"""

import ctypes
import os
import platform
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE = {"x86_64": 56, "aarch64": 220}[platform.machine()]
end = time.monotonic() + 0.5
while time.monotonic() < end:
    if libc.syscall(CLONE, 0x00008000 | 17, 0, 0, 0, 0) == 0:
        os._exit(0)
    time.sleep(0.005)
