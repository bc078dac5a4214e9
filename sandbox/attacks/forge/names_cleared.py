"""Empties and replaces the main module, so that the tests find nothing to fail with.

Expect: not passed
"""

import sys
import types

sys.modules["__main__"] = types.ModuleType("__main__")


def answer(question):
    names = globals()
    names.clear()
    names["answer"] = lambda question: 0
    return 0
