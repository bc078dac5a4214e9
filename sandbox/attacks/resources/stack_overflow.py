"""Recurses without end after the limit was lifted.

Expect: not passed
"""

import sys

sys.setrecursionlimit(2**31 - 1)


def answer(question):
    return [answer(question)]
