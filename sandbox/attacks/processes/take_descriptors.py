"""Takes open files out of the process above it by pidfd_getfd.

Expect: contained
"""

import ctypes
import os

import bait

libc = ctypes.CDLL(None, use_errno=True)
for pid in (os.getppid(), bait.PROCESS, 1):
    handle = libc.syscall(434, pid, 0)
    if handle < 0:
        continue
    for number in range(8):
        if libc.syscall(438, handle, number, 0) >= 0:
            print("ESCAPED: took descriptor", number, "of process", pid, flush=True)
    if libc.syscall(424, handle, 0, None, 0) == 0:
        print("ESCAPED: may signal process", pid, "by its descriptor", flush=True)
