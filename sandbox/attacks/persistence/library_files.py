"""Writes into shared mappings of library files, so that the cached pages change for everybody.

Expect: contained
"""

import json
import mmap
import os

for path in (json.__file__, getattr(json, "__cached__", None) or json.__file__, os.__file__):
    for flags in (os.O_RDWR, os.O_RDONLY):
        try:
            handle = os.open(path, flags)
            view = mmap.mmap(
                handle, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
            view[0:3] = view[0:3]
            print("ESCAPED: can change", path, "in memory", flush=True)
        except (OSError, ValueError):
            pass
