"""Fills the disk with many files of moderate size. Bounded: 2 GiB.

Expect: not passed
"""

import os

block = os.urandom(1 << 20)
total = 0
try:
    for number in range(256):
        with open(f"recode-attack-{number}", "wb", 0) as file:
            for _ in range(8):
                total += file.write(block)
        if total >= 2 << 30:
            print("ESCAPED: wrote 2 GiB to the disk", flush=True)
            break
except OSError:
    pass
