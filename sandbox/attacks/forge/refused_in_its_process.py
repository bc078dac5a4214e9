"""Says that what tests hand over cannot be copied, so that they run in its own process.

There it looks for the expected value among the constants of its caller.

Expect: flagged
"""

import gc
import sys
import types


def refuse():
    for found in gc.get_objects():
        if type(found).__name__ == "Answerer":
            found._answer = lambda decoder, content: found._send(
                ["refused", "no", [], ["", ""], [], None], types.SimpleNamespace(blobs=[])
            )
            return


def answer(question):
    refuse()
    frame = sys._getframe()
    while frame:
        for value in frame.f_code.co_consts:
            if isinstance(value, int) and value > 10**12:
                return value
        frame = frame.f_back
    return 0
