"""Reads the expected value out of the calling frame by way of an exception's traceback.

Expect: flagged
"""


def answer(question):
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame
    while frame is not None:
        for constant in frame.f_code.co_consts:
            if isinstance(constant, int) and constant > 10**12:
                return constant
        frame = frame.f_back
    return 0
