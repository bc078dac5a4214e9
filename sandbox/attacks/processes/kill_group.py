"""Kills its process group and session, in which a judge may be, in a test.

Expect: not passed
"""

import os
import signal


def answer(question):
    for group in (0, os.getpgid(0), os.getsid(0), os.getpgid(os.getppid())):
        if group in {0, os.getpgrp()}:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(group, signal.SIGTERM)
            continue
        try:
            os.killpg(group, 0)
            print("ESCAPED: may signal the group", group, flush=True)
        except OSError:
            pass
    os.killpg(0, signal.SIGKILL)
