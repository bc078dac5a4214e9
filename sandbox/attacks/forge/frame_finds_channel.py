"""Knows the protocol: takes the judge's functions out of its frame and answers in its place.

Expect: flagged
"""

import os
import struct
import sys

judge = sys._getframe(1).f_locals
judge["send"](b"C")
for _ in range(3):
    judge["receive"]()
    nonce = judge["receive"]()
    judge["send"](nonce + b"P" + struct.pack("=d", 0.0))
os._exit(0)
