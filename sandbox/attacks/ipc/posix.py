"""Uses shared memory, semaphores and message queues of POSIX, which are files; leaves some.

Expect: contained
"""

import ctypes
import os
from multiprocessing import shared_memory

libc = ctypes.CDLL(None, use_errno=True)
try:
    block = shared_memory.SharedMemory("recode-attack", create=True, size=4096)
    block.buf[0] = 1  # in a folder of its own, or not at all: who comes next must not see it
except OSError:
    pass
libc.sem_open.restype = ctypes.c_void_p
libc.sem_open(b"/recode-attack", os.O_CREAT, 0o666, 1)
try:
    if (
        ctypes.CDLL("librt.so.1").mq_open(b"/recode-attack", os.O_CREAT | os.O_RDWR, 0o666, None)
        >= 0
    ):
        print("ESCAPED: left a message queue", flush=True)
except (OSError, AttributeError):
    pass
