"""Ends the process with status 0 in the middle of a test.

Expect: not passed
"""

import os


def answer(question):
    os._exit(0)
