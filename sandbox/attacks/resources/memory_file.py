"""Fills files that exist in memory only (memfd). Bounded: 2 GiB.

Expect: not passed
"""

import os

total = 0
block = b"x" * (1 << 20)
try:
    for _ in range(200):
        handle = os.memfd_create("recode-attack")
        for _ in range(15):
            total += os.write(handle, block)
        if total >= 2 << 30:
            print("ESCAPED: took 2 GiB of memory files", flush=True)
            break
except OSError:
    pass
