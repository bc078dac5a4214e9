"""Replaces `AssertionError`, so that a judge that catches it by name misses the real one.

Expect: not passed
"""

import builtins


class Harmless(Warning):
    pass


builtins.AssertionError = builtins.Exception = builtins.BaseException = Harmless


def answer(question):
    return 0
