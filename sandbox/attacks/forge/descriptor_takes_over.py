"""Knows the protocol and the descriptor: reads the tests and answers in the judge's place.

Expect: flagged
"""

import os
import struct

os.write(3, b"C")
for _ in range(3):
    os.read(3, 1 << 16)
    nonce = os.read(3, 1 << 16)[1:]
    os.write(3, nonce + b"P" + struct.pack("=d", 0.0))
os._exit(0)
