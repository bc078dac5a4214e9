"""Starts timers that fire a million times a second and signals without end.

Expect: not passed
"""

import signal

signal.signal(signal.SIGALRM, lambda number, frame: None)
signal.signal(signal.SIGVTALRM, lambda number, frame: None)
signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)
signal.setitimer(signal.ITIMER_VIRTUAL, 1e-6, 1e-6)
while True:
    pass
