"""Seals the output file, so that the next program cannot write and nobody can empty it.

Expect: contained
"""

import fcntl
import os

ADD_SEALS = 1033
os.write(1, b"recode-attack")
for number in (1, 2):
    for seals in (2 | 4, 8, 16, 1):
        try:
            fcntl.fcntl(number, ADD_SEALS, seals)
        except OSError:
            pass
    for change in (lambda n: os.fchmod(n, 0), lambda n: fcntl.flock(n, fcntl.LOCK_EX)):
        try:
            change(number)
        except OSError:
            pass
