"""Waits for a signal that never comes, with every signal blocked.

Expect: not passed
"""

import signal

signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True:
    signal.sigwait({signal.SIGUSR1})
