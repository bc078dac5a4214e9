"""Forks in the answer: the child goes on and fails, the parent ends quietly after it.

Expect: not passed
"""

import os


def answer(question):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    return 0
