"""Fills anonymous shared mappings, which do not count as private memory. Bounded: 2 GiB.

Expect: not passed
"""

import mmap

kept = []
for _ in range(32):
    kept.append(mmap.mmap(-1, 64 << 20))
    for offset in range(0, 64 << 20, 4096):
        kept[-1][offset] = 1
print("ESCAPED: took 2 GiB of shared memory", flush=True)
