"""A thread ends the process with status 0 while a test is still waiting.

Expect: not passed
"""

import os
import threading
import time


def leave():
    time.sleep(0.1)
    os._exit(0)


threading.Thread(target=leave).start()


def answer(question):
    time.sleep(60)
