"""Replaces built-in functions that tests use, so that everything is true.

Expect: not passed
"""

import builtins

builtins.all = builtins.any = builtins.isinstance = builtins.len = lambda *arguments: True
builtins.zip = lambda *arguments, **named: []
builtins.print = builtins.repr = builtins.str = lambda *arguments, **named: ""


def answer(question):
    return 0
