"""Fails with messages that break protocols: NUL, lone surrogates, line ends, JSON, escape codes.

Expect: not passed
"""

MESSAGES = {
    1: "\x00\ud800\udfff\n\r\x1b[2J\u202e",
    2: '", null]], "verdicts": [["passed", "", 0.0]], "x": "\n{"verdicts": [["passed"]]}\n',
    3: "x" * 10_000_000,
}


def answer(question):
    raise ValueError(MESSAGES[question])
