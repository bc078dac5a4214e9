"""Knows the protocol: wraps each inherited descriptor in a socket and answers for the judge.

Expect: flagged
"""

import os
import socket
import struct

for number in range(3, 64):
    try:
        channel = socket.socket(fileno=number)
        channel.send(b"C")
    except OSError:
        continue
    for _ in range(3):
        channel.recv(1 << 16)
        nonce = channel.recv(1 << 16)[1:]
        channel.send(nonce + b"P" + struct.pack("=d", 0.0))
    os._exit(0)
