"""Waits for a processor that its own children keep busy: such waiting is no wall time of its.

The children's time is added to nobody's if it can be had: SIGCHLD is ignored. Bounded: 9 s.

Expect: not passed
"""

import os
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def burn_in_turn(end):
    while time.monotonic() < end:
        try:
            child = os.fork()
        except OSError:
            continue
        if child == 0:
            stop = time.monotonic() + 0.05
            while time.monotonic() < stop:
                pass
            os._exit(0)
        try:
            os.waitpid(child, 0)
        except ChildProcessError:
            pass


def answer(question):
    start = time.monotonic()
    end = start + 9
    for _ in range(6):
        try:
            if os.fork() == 0:
                burn_in_turn(end)
                os._exit(0)
        except OSError:
            break
    for lower in (lambda: os.nice(19), lambda: os.sched_setscheduler(0, 5, os.sched_param(0))):
        try:
            lower()
        except OSError:
            pass
    while time.monotonic() < end:
        if time.monotonic() - start > 5:
            print("ESCAPED: runs for more than twice its wall time", flush=True)
            break
    return 0
