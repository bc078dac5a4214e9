"""Leaves a daemon behind: forked twice, ignoring signals, in a session of its own if it may.

Expect: not passed
"""

import os
import signal
import time

if os.fork() == 0:
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork():
        os._exit(0)
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    end = time.monotonic() + 30
    while time.monotonic() < end:
        open("recode-attack-daemon", "w").close()
        time.sleep(0.01)
    os._exit(0)
time.sleep(0.1)
