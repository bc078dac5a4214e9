"""Replaces `exec`, `eval` and `compile` with functions that do nothing.

Expect: not passed
"""

import builtins

builtins.exec = builtins.eval = lambda *arguments, **named: None
real = compile
builtins.compile = lambda *arguments, **named: real("pass", "x", "exec")


def answer(question):
    return 0
