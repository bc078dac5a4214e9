"""Sets every hook that Python calls for an unhandled error to `os._exit(0)`, then fails.

Expect: not passed
"""

import os
import sys
import threading


def leave(*arguments):
    os._exit(0)


sys.excepthook = sys.unraisablehook = sys.displayhook = threading.excepthook = leave


def answer(question):
    raise ValueError
