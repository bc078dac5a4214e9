"""Makes its namespace answer every name with a yes-man by changing the class of the module.

Expect: not passed
"""

import sys
import types


class Yes(types.ModuleType):
    def __getattr__(self, name):
        return lambda *arguments, **named: True


sys.modules["__main__"].__class__ = Yes
sys.modules["math"].__class__ = Yes


def answer(question):
    return 0
