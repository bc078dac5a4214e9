"""Raises exceptions whose class pretends to be another one, to be taken for success.

Expect: not passed
"""


class Passed(AssertionError):
    __module__ = "builtins"

    @property
    def __class__(self):
        return StopIteration

    def __bool__(self):
        return False

    def __eq__(self, other):
        return self is not None


Passed.__name__ = Passed.__qualname__ = "passed"


def answer(question):
    raise Passed("passed") from None
