"""Closes every inherited descriptor, so that no failure can be reported.

Expect: not passed
"""

import os


def answer(question):
    os.closerange(0, 65536)
    return 0


os.closerange(3, 65536)
