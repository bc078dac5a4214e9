"""Raises an exception whose class does things when a judge asks for its name or compares it.

Expect: not passed
"""

import os


class Meta(type):
    @property
    def __name__(cls):
        os._exit(0)

    def __instancecheck__(cls, instance):
        return True

    def __subclasscheck__(cls, subclass):
        return True


class Trap(Exception, metaclass=Meta):
    pass


def answer(question):
    raise Trap
