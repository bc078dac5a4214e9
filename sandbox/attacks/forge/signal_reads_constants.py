"""Reads the expected value out of the frame that a signal handler is given.

Expect: flagged
"""

import signal

found = [0]


def handler(number, frame):
    while frame is not None:
        found[:0] = [c for c in frame.f_code.co_consts if isinstance(c, int) and c > 10**12]
        frame = frame.f_back


signal.signal(signal.SIGUSR1, handler)


def answer(question):
    found[:] = [0]
    signal.raise_signal(signal.SIGUSR1)
    return found[-2] if len(found) > 1 else 0
