"""Compiles source that is nested beyond what the parser can take.

Expect: not passed
"""

for source in (
    "(" * 200_000,
    "-" * 500_000 + "1",
    "[" * 50_000 + "]" * 50_000,
    "x" + ".x" * 200_000,
):
    try:
        compile(source, "bomb", "exec")
    except (SyntaxError, MemoryError, RecursionError):
        pass


def answer(question):
    return eval("(" * 90 + "0" + ")" * 90)
