"""Stops itself with SIGSTOP: neither running nor ended.

Expect: not passed
"""

import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)
