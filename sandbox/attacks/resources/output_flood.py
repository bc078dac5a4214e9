"""Writes a gigabyte to standard output.

Expect: not passed
"""

import os
import time

block = b"recode-attack flood\n" * 50_000
total = 0
end = time.monotonic() + 20
while total < 1 << 30 and time.monotonic() < end:
    try:
        total += os.write(1, block)
    except OSError:
        break
if total >= 1 << 30:
    os.write(2, b"\nESCAPED: wrote 1 GiB of output\n")
