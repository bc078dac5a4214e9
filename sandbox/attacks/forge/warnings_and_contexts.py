"""Suppresses every exception by the tools that suppress: contextlib, warnings, generators.

Expect: not passed
"""

import contextlib
import sys
import warnings

warnings.simplefilter("ignore")
contextlib.suppress(BaseException).__enter__()
stack = contextlib.ExitStack()
stack.push(lambda *details: True)
stack.__enter__()
sys.tracebacklimit = 0


def answer(question):
    with contextlib.suppress(BaseException):
        raise ValueError
    return 0
