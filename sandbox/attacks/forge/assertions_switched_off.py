"""Tries to switch assertions off: `__debug__`, the interpreter's flags, the environment.

Expect: not passed
"""

import builtins
import os
import sys
import types

os.environ["PYTHONOPTIMIZE"] = "2"
builtins.__dict__["__debug__"] = False
globals()["__debug__"] = False
try:
    sys.flags = types.SimpleNamespace(**{**{n: 0 for n in dir(sys.flags)}, "optimize": 2})
except Exception:
    pass


def answer(question):
    return 0
