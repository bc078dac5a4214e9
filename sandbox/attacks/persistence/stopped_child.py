"""Leaves children that are stopped and blocked, so that they cannot notice a friendly signal.

Expect: not passed
"""

import os
import signal
import time

for _ in range(4):
    if os.fork() == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(30)
        os._exit(0)
time.sleep(0.05)
