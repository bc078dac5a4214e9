"""Answers with a kind of number that is equal to every other number.

Expect: flagged
"""


class Yes(int):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = int.__hash__


def answer(question):
    return Yes(7)
