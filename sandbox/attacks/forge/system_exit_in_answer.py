"""Raises `SystemExit(0)` in the middle of a test; a judge may take it for a quiet end.

Expect: not passed
"""


def answer(question):
    raise SystemExit(0)
