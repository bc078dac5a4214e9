"""Prints bytes that are no text, terminal commands, NUL, and half a character at the end.

Expect: not passed
"""

import os


def answer(question):
    for number in (1, 2):
        os.write(
            number,
            bytes(range(256)) * 4 + b"\x1b]52;c;eA==\x07\xe2\x80\xae\x00\xed\xa0\x80\xf0\x9f",
        )
    return 0
