"""Raises an exception whose message, when a judge asks for it, ends the process with status 0.

Expect: not passed
"""

import os


class Trap(Exception):
    def __str__(self):
        os._exit(0)


def answer(question):
    raise Trap
