"""Catches the signal that announces the end of the processor time, and goes on.

Expect: not passed
"""

import resource
import signal

signal.signal(signal.SIGXCPU, signal.SIG_IGN)
try:
    resource.setrlimit(resource.RLIMIT_CPU, (1, resource.getrlimit(resource.RLIMIT_CPU)[1]))
except (OSError, ValueError):
    pass
while True:
    pass
