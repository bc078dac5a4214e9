"""Asks for a huge block at once, catching `MemoryError` and asking again.

Expect: not passed
"""

kept = []
for _ in range(1000):
    try:
        kept.append(b"x" * (2 << 30))
        print("ESCAPED: took 2 GiB of memory", flush=True)
        break
    except MemoryError:
        pass
