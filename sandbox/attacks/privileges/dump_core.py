"""Leaves an image of its memory in a file, or has the kernel start a program for it.

Expect: contained
"""

import ctypes
import os
import resource

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(4, 1, 0, 0, 0)
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
    print("ESCAPED: may leave memory images", flush=True)
except (OSError, ValueError):
    pass
if os.fork() == 0:
    os.abort()
_, status = os.wait()
if os.WCOREDUMP(status):
    print("ESCAPED: left an image of its memory", flush=True)
