"""A profile function reads the expected value out of the test's code.

Expect: flagged
"""

import sys

found = [0]


def profiler(frame, event, argument):
    while event == "call" and frame is not None:
        found[:0] = [c for c in frame.f_code.co_consts if isinstance(c, int) and c > 10**12]
        frame = frame.f_back


def called():
    return 0


def answer(question):
    found[:] = [0]
    sys.setprofile(profiler)
    called()
    sys.setprofile(None)
    return found[0]
