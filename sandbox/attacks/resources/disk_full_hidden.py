"""Fills the disk with files in a folder that may be entered but not listed. Bounded: 2 GiB.

Expect: not passed
"""

import os
import time

block = os.urandom(1 << 20)
total = 0
try:
    os.mkdir("recode-attack", 0o300)
    for number in range(180):
        with open(f"recode-attack/{number}", "wb", 0) as file:
            for _ in range(12):
                total += file.write(block)
        if total >= 2 << 30:
            print("ESCAPED: wrote 2 GiB to the disk", flush=True)
            break
except OSError:
    pass
time.sleep(60)
