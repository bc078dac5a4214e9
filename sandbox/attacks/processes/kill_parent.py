"""Kills the processes above it, so that nobody can judge it.

Expect: not passed
"""

import os
import signal

import bait

for pid in (bait.PROCESS, os.getppid(), 1):
    try:
        os.kill(pid, 0)
        print("ESCAPED: may signal process", pid, flush=True)
    except OSError:
        continue
    for number in (signal.SIGTERM, signal.SIGSTOP):
        if pid == os.getppid():
            os.kill(pid, number)
