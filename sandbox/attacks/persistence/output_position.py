"""Leaves the position of the shared output file far behind its end, and writes nothing.

Expect: contained
"""

import os

for number in (0, 1, 2):
    try:
        os.lseek(number, 1 << 40, os.SEEK_SET)
    except OSError:
        pass
os._exit(0)
