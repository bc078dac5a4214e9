"""Leaves a trace function behind that answers every comparison by jumping over the assertion.

Expect: not passed
"""

import sys
import threading


def tracer(frame, event, argument):
    if event == "line" and frame.f_code.co_filename == "<test>":
        try:
            frame.f_lineno += 1
        except ValueError:
            pass
    return tracer


def answer(question):
    return 0


threading.settrace(tracer)
sys.settrace(tracer)
