"""Gets the calling frame from the interpreter's C functions and reads the expected value.

Expect: flagged
"""

import ctypes

get_frame = ctypes.pythonapi.PyEval_GetFrame
get_frame.restype = ctypes.py_object


def answer(question):
    frame = get_frame()
    while frame is not None:
        for constant in frame.f_code.co_consts:
            if isinstance(constant, int) and constant > 10**12:
                return constant
        frame = frame.f_back
    return 0
