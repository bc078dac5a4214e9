"""Gives its namespace another `__builtins__`, in which everything is true.

Expect: not passed
"""

import builtins

yes = dict(vars(builtins))
yes.update(all=lambda items: True, isinstance=lambda item, kind: True, AssertionError=Warning)
__builtins__ = yes
globals()["__builtins__"] = yes


def answer(question):
    return 0
