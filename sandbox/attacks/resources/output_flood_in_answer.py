"""Prints without line ends to standard error, in a test, for ever.

Expect: not passed
"""

import sys


def answer(question):
    while True:
        sys.stderr.write("x" * 100_000)
