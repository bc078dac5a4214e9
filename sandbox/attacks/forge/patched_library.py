"""Replaces a function of the library with which the test compares.

Expect: flagged
"""

import math

math.isclose = lambda *arguments, **named: True


def answer(question):
    return 0
