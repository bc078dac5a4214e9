"""Sends descriptors through sockets that nobody reads, so that files stay open uncounted.

Expect: not passed
"""

import os
import socket
import time

held = 0
kept = []
null = os.open("/dev/null", os.O_RDONLY)
try:
    while held < 20_000:
        pair = socket.socketpair()
        kept.append(pair)
        for _ in range(10):
            socket.send_fds(pair[0], [b"x"], [null] * 200)
            held += 200
    print("ESCAPED: holds", held, "open files that are not counted", flush=True)
except OSError:
    pass
time.sleep(60)
