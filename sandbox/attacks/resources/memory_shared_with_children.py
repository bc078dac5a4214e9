"""Children touch different parts of shared memory that no one of them holds alone. Bounded: 3 GiB.

Expect: not passed
"""

import mmap
import os
import time

kept = []
for _ in range(15):
    try:
        block = mmap.mmap(-1, 200 << 20)
        if os.fork() == 0:
            for offset in range(0, len(block), 4096):
                block[offset] = 1
            time.sleep(30)
            os._exit(0)
        block.close()
    except (OSError, ValueError):
        break
time.sleep(30)
