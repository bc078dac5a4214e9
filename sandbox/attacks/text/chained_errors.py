"""Fails with errors that are chained in a circle and have endless notes and groups.

Expect: not passed
"""

import builtins


def answer(question):
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    one.__context__, other.__context__ = other, one
    one.__notes__ = ["x" * 1000] * 10_000
    group = one
    for _ in range(5000):
        if hasattr(builtins, "ExceptionGroup"):  # Python 3.11
            group = builtins.ExceptionGroup("deep", [group])
        else:
            outer = ValueError("deep")
            outer.__cause__ = group
            group = outer
    raise group
