"""Fills a list for ever. Bounded: 4 GiB.

Expect: not passed
"""

kept = []
for _ in range(4096):
    kept.append(bytearray(b"x") * (1 << 20))
print("ESCAPED: took 4 GiB of memory", flush=True)
