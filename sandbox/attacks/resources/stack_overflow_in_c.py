"""Nests objects so deeply that a C function overflows the stack while it walks them.

Expect: not passed
"""

import sys

sys.setrecursionlimit(2**31 - 1)
nested = ()
for _ in range(10**6):
    nested = (nested,)


def answer(question):
    return hash(nested) and repr(nested)
