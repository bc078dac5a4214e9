"""Children fill shared memory, each a region of its own that nobody else maps. Bounded: 3 GiB.

Expect: not passed
"""

import mmap
import os
import time

pipes = []
for _ in range(15):
    try:
        reader, writer = os.pipe()
        if os.fork() == 0:
            block = mmap.mmap(-1, 200 << 20)
            for offset in range(0, len(block), 4096):
                block[offset] = 1
            os.write(writer, b"1")
            time.sleep(30)
            os._exit(0)
        os.close(writer)
        pipes.append(reader)
    except (OSError, ValueError):
        break
filled = sum(os.read(reader, 1) == b"1" for reader in pipes)
time.sleep(1)
if filled >= 10:
    print("ESCAPED:", filled, "processes held 200 MiB each for a second", flush=True)
time.sleep(30)
