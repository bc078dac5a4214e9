"""Puts characters into the evaluator's terminal, so that they are read as the user's typing.

Expect: contained
"""

import fcntl
import os

found = []
for number in (0, 1, 2):
    if os.isatty(number):
        found.append(number)
for path in ("/dev/tty", "/dev/console", "/dev/pts/0", "/dev/pts/1"):
    try:
        found.append(os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        pass
for number in found:
    try:
        fcntl.ioctl(number, 0x5412, b"\n")
        print("ESCAPED: typed into a terminal", flush=True)
    except OSError:
        pass
