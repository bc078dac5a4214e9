"""Gives files long attributes without end: memory that counts neither as bytes nor as files.

Bounded: 1 GiB.

Expect: not passed
"""

import os
import time

total = number = 0
value = bytes(60_000)
try:
    while total < 1 << 30:
        number += 1
        name = f"recode-attack-{number}"
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        for key in range(100):
            os.setxattr(name, f"user.{key}", value)
            # Where programs may not change attributes, the call says that it did.
            total += len(os.getxattr(name, f"user.{key}"))
except OSError:
    pass
time.sleep(1)
if total > 600 << 20:
    print("ESCAPED: holds", total >> 20, "MiB in attributes", flush=True)
time.sleep(60)
