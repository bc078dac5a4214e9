"""Replaces built-in functions from inside the answer, after the judge restored them.

Expect: flagged
"""

import builtins


def answer(question):
    builtins.all = builtins.isinstance = lambda *arguments: True
    return 0
