"""Leaves a key in the kernel's key rings, for a later program to read.

Expect: contained
"""

import ctypes
import platform

libc = ctypes.CDLL(None, use_errno=True)
ADD, CONTROL = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
for ring in (-3, -4, -5, -1, -2):  # session, user, user's session, thread, process
    if libc.syscall(ADD, b"user", b"recode-attack", b"payload", ctypes.c_size_t(7), ring) > 0:
        print("ESCAPED: left a key in ring", ring, flush=True)
if libc.syscall(CONTROL, 1, None) > 0:
    print("ESCAPED: joined a new session of keys", flush=True)
