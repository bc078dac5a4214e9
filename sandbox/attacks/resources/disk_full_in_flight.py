"""Fills the disk with deleted files that no process has open: mapped, or sent and never received.

Bounded: 2 GiB.
Expect: not passed
"""

import ctypes
import os
import socket
import time

block = os.urandom(1 << 20)
mmap = ctypes.CDLL(None).mmap
mmap.restype = ctypes.c_void_p
ends = [socket.socketpair() for _ in range(40)]
total = 0
try:
    for number in range(180):
        with open("recode-attack", "w+b", 0) as file:
            os.unlink("recode-attack")
            if number % 2:
                mmap(None, ctypes.c_size_t(4096), 1, 1, file.fileno(), ctypes.c_long(0))
            else:
                socket.send_fds(ends[number % 40][0], [b"x"], [file.fileno()])
            for _ in range(12):
                total += file.write(block)
        if total >= 2 << 30:
            print("ESCAPED: wrote 2 GiB to the disk", flush=True)
            break
except OSError:
    pass
time.sleep(60)
