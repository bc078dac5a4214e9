"""Fills the kernel's buffers of as many pipes and sockets as it gets. Bounded: 2 GiB.

Expect: not passed
"""

import fcntl
import os
import socket
import time

total = 0
kept = []
block = b"x" * (1 << 20)
try:
    while total < 2 << 30:
        reader, writer = os.pipe()
        kept.append((reader, writer))
        try:
            fcntl.fcntl(writer, 1031, 1 << 20)
        except OSError:
            pass
        os.set_blocking(writer, False)
        try:
            while True:
                total += os.write(writer, block)
        except BlockingIOError:
            pass
except OSError:
    pass
try:
    while total < 2 << 30:
        one, other = socket.socketpair()
        kept.append((one, other))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
        one.setblocking(False)
        try:
            while True:
                total += one.send(block)
        except BlockingIOError:
            pass
except OSError:
    pass
if total > 1 << 30:
    print("ESCAPED: the kernel holds", total >> 20, "MiB for this program", flush=True)
time.sleep(60)
