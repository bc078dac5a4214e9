"""Opens files until it gets no more, then lets the test ask for one.

Expect: not passed
"""

import os

kept = []
try:
    for _ in range(100_000):
        kept.append(os.open("/dev/null", os.O_RDONLY))
    print("ESCAPED: holds 100000 open files", flush=True)
except OSError:
    pass
