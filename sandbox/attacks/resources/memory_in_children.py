"""Many children, each below the limit; together they are far beyond. Bounded: 16 times 200 MiB.

Expect: not passed
"""

import os
import time

writer_end = []
for _ in range(16):
    try:
        reader, writer = os.pipe()
        if os.fork() == 0:
            kept = bytearray(b"x") * (200 << 20)
            os.write(writer, b"1")
            time.sleep(30)
            os._exit(len(kept) & 1)
        os.close(writer)
        writer_end.append(reader)
    except OSError:
        break
filled = sum(os.read(reader, 1) == b"1" for reader in writer_end)
time.sleep(1)
if filled >= 10:
    print("ESCAPED:", filled, "processes held 200 MiB each for a second", flush=True)
time.sleep(30)
