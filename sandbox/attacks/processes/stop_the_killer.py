"""Daemons in sessions of their own stop every process of their user, and the next ones to come.

What shall kill them must take their user id for it: it may be stopped before it has killed, and
whoever waits for it waits. Bounded: 60 s.

Expect: not passed
"""

import os
import time

import bait

stop = os.kill
try:
    os.kill(bait.PROCESS, 0)
    print("ESCAPED: may signal a process of the machine", flush=True)
except OSError:
    # Only where programs have a user id of their own is everything that can be signalled theirs.
    if os.getuid() >= 20000:
        end = time.monotonic() + 60
        for aims in (False, True, True):
            if os.fork() == 0:
                os.setsid()
                me = os.getpid()
                while time.monotonic() < end:
                    for number in range(me + 1, me + 12) if aims else (-1,):
                        try:
                            stop(number, 19)
                        except OSError:
                            pass
                os._exit(0)
        time.sleep(0.05)
os._exit(0)
