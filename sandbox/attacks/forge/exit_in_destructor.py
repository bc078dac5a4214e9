"""An object whose destructor ends the process with status 0 when the names are cleared.

Expect: not passed
"""

import os


class Trap:
    def __del__(self):
        os._exit(0)


trap = Trap()


def answer(question):
    globals().pop("trap", None)
    return 0
