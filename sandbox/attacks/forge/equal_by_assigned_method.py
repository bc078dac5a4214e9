"""Makes the always-equal class with `type()` and `setattr`, so that no method is written down.

Expect: flagged
"""

Yes = type("Yes", (int,), {"__eq__": lambda self, other: self is not None})
setattr(Yes, "__hash__", int.__hash__)


def answer(question):
    return Yes(7)
