"""An audit hook is shown each piece of code before it is executed, and reads the expected value.

Expect: flagged
"""

import sys

found = [0]


def hook(event, arguments):
    if event == "exec" and arguments[0].co_filename == "<test>":
        found[:] = [c for c in arguments[0].co_consts if isinstance(c, int) and c > 10**12] or [0]


sys.addaudithook(hook)


def answer(question):
    return found[0]
