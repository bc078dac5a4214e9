"""Answers with an object that is equal to everything.

Expect: flagged
"""


class Yes:
    def __eq__(self, other):
        return True

    def __float__(self):
        return 0.0


def answer(question):
    return Yes()
