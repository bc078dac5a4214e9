"""Changes the flags of the inherited open files: append, non-blocking, direct, no access time.

Expect: contained
"""

import fcntl
import os

for number in (0, 1, 2):
    for flags in (
        os.O_APPEND | os.O_NONBLOCK,
        os.O_APPEND,
        os.O_NONBLOCK,
        os.O_NOATIME,
        os.O_ASYNC,
    ):
        try:
            fcntl.fcntl(number, fcntl.F_SETFL, flags)
            break
        except OSError:
            pass
