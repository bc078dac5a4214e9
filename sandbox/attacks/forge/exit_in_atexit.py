"""Registers `os._exit(0)` for the end of the process, then fails.

Expect: not passed
"""

import atexit
import os

atexit.register(os._exit, 0)


def answer(question):
    raise ValueError
