"""Answers with `unittest.mock.ANY`, which is equal to everything.

Expect: flagged
"""

from unittest.mock import ANY


def answer(question):
    return ANY
