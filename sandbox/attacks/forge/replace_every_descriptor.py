"""Puts a pipe or the null device in the place of every inherited descriptor.

Expect: not passed
"""

import os


def answer(question):
    inner, outer = os.pipe()
    os.write(outer, b"passed" * 100)
    for number in range(64):
        if number not in {inner, outer}:
            os.dup2(inner if number % 2 else outer, number)
    return 0
