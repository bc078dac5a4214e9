"""Writes one file for ever, reserves space, and makes a sparse one of a terabyte.

Expect: not passed
"""

import os

handle = os.open("recode-attack", os.O_RDWR | os.O_CREAT)
for reserve in (1 << 40, 1 << 32):
    try:
        os.posix_fallocate(handle, 0, reserve)
        print("ESCAPED: reserved", reserve, "bytes", flush=True)
    except OSError:
        pass
    try:
        os.ftruncate(handle, reserve)
        print("ESCAPED: made a file of", reserve, "bytes", flush=True)
    except OSError:
        pass
try:
    for _ in range(1024):
        os.write(handle, bytes(1 << 20))
    print("ESCAPED: wrote a file of 1 GiB", flush=True)
except OSError:
    pass
