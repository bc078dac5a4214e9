"""Forks while it is being defined, so that two processes go on and report to the judge.

Expect: not passed
"""

import os

os.fork()


def answer(question):
    return 0
