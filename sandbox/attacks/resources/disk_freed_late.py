"""Fills the disk with files that only a circle of sockets holds, then fails at once.

The kernel finds such a circle a while after the end of the program. With no room left for the next
one, the sandbox must not take itself for broken: nobody may choose to stay ungraded. Bounded: the
private disk.

Expect: not passed
"""

import os
import socket

block = bytes(15 << 20)
pairs = [socket.socketpair() for _ in range(60)]
try:
    for number, (one, other) in enumerate(pairs):
        with open("recode-attack", "w+b", 0) as file:
            os.unlink("recode-attack")
            # Each pair is in flight in the next one, the last in the first.
            following = pairs[(number + 1) % len(pairs)][0]
            handles = [file.fileno(), one.fileno(), other.fileno()]
            socket.send_fds(following, [b"x"], handles)
            file.write(block)
except OSError:
    pass
os._exit(1)
