"""Dies by a signal in the middle of a test: a quiet end must not count.

Expect: not passed
"""

import os
import signal


def answer(question):
    os.kill(os.getpid(), {1: signal.SIGKILL, 2: signal.SIGTERM}.get(question, signal.SIGPIPE))
