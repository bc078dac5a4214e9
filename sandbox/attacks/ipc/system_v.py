"""Uses shared memory, semaphores and queues of System V; finds those of others; leaves some.

Expect: contained
"""

import ctypes

import bait

libc = ctypes.CDLL(None, use_errno=True)
KEY = 0x7265636F
if libc.shmget(bait.SYSV_KEY, ctypes.c_size_t(4096), 0o666) >= 0:
    print("ESCAPED: reached shared memory of this machine", flush=True)
makers = {
    "shared memory": lambda: libc.shmget(KEY, ctypes.c_size_t(4096), 0o1666),
    "semaphores": lambda: libc.semget(KEY, 1, 0o1666),
    "a message queue": lambda: libc.msgget(KEY, 0o1666),
}
for name, make in makers.items():
    if make() >= 0:
        print("ESCAPED: made", name, "that outlives the program", flush=True)
