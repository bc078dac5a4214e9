"""Fills the disk with files that have no name any more. Bounded: 2 GiB.

Expect: not passed
"""

import os
import time

block = os.urandom(1 << 20)
total = 0
kept = []
try:
    for _ in range(180):
        file = open("recode-attack", "wb", 0)
        os.unlink("recode-attack")
        kept.append(file)
        for _ in range(12):
            total += file.write(block)
        if total >= 2 << 30:
            print("ESCAPED: wrote 2 GiB to the disk", flush=True)
            break
except OSError:
    pass
time.sleep(60)
