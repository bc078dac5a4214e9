"""Kills every process that it may kill. Stops first if it could reach the machine's own processes.

Expect: not passed
"""

import os
import signal

import bait

try:
    os.kill(bait.PROCESS, 0)
    print("ESCAPED: may signal a process of the machine", flush=True)
except OSError:
    for number in (signal.SIGCONT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(-1, number)
        except OSError:
            pass
