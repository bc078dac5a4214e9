"""Defines functions with the names of built-in ones that the tests use in the same namespace.

Expect: flagged
"""


def all(items):
    return True


def isinstance(item, kind):
    return True


def answer(question):
    return 0
