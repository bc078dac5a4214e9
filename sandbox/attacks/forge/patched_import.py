"""Replaces `__import__`, so that what the test or the judge imports is a yes-man.

Expect: not passed
"""

import builtins


class Yes:
    def __getattr__(self, name):
        return lambda *arguments, **named: True


builtins.__import__ = lambda *arguments, **named: Yes()


def answer(question):
    return 0
