"""Unpacks a small compressed text that becomes 4 GiB.

Expect: not passed
"""

import zlib

packer = zlib.compressobj(9)
packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
kept = []
for _ in range(64):
    kept.append(zlib.decompress(packed))
print("ESCAPED: took 4 GiB of memory", flush=True)
