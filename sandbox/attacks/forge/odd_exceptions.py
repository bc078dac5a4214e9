"""Raises exceptions that `except Exception` does not catch, another kind in each test.

Expect: not passed
"""


class Odd(BaseException):
    pass


def answer(question):
    raise {1: KeyboardInterrupt, 2: GeneratorExit}.get(question, Odd)()
