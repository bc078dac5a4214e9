"""Loops for ever in a test, swallowing every exception.

Expect: not passed
"""


def answer(question):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
