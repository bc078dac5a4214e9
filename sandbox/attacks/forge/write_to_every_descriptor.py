"""Writes likely verdicts to every inherited descriptor, without knowing what is behind it.

Expect: not passed
"""

import json
import os

GUESSES = (
    b"passed\n",
    b"ok",
    b"1",
    b"P",
    b"\x00",
    b"\x01",
    b"true\n",
    json.dumps({"status": "passed", "passed": True, "result": "passed"}).encode() + b"\n",
)


def write():
    for number in range(256):
        for guess in GUESSES:
            try:
                os.write(number, guess)
            except OSError:
                break


write()


def answer(question):
    write()
    return 0
