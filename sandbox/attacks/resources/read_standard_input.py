"""Waits for standard input; must not get the sandbox's own input to read.

Expect: not passed
"""

import os
import sys

text = sys.stdin.read() or os.read(0, 1 << 16)
if text:
    print("ESCAPED: standard input gave", repr(text[:100]), flush=True)
