"""Makes the output look huge without writing it: moves the position and the end of the file.

Expect: not passed
"""

import os

for number in (1, 2):
    for size in (1 << 60, 1 << 40, 1 << 33):
        for change in (os.ftruncate, lambda n, s: os.lseek(n, s, os.SEEK_SET)):
            try:
                change(number, size)
                os.write(number, b"x")
            except OSError:
                pass
