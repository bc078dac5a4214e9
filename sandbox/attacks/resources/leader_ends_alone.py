"""Ends its first thread only: whoever looks sees a dead process, whose other threads go on.

Expect: not passed
"""

import ctypes
import platform
import threading
import time


def go_on():
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with open("recode-attack", "w"):
            time.sleep(0.01)


for _ in range(3):
    threading.Thread(target=go_on, daemon=True).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
