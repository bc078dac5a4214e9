"""Computes in children that the kernel reaps (SIGCHLD ignored, or SA_NOCLDWAIT): nobody is charged.

Bounded: 2 s.

Expect: not passed
"""

import ctypes
import os
import signal
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
# Handler, flags (SA_NOCLDWAIT), no restorer, an empty mask: as the kernel takes it.
libc.syscall(13, 17, ctypes.create_string_buffer(struct.pack("=QQQQ", 0, 2, 0, 0)), None, 8)


def answer(question):
    """More work than a test may do, in short children; it answers if nobody noticed."""
    burnt, end = 0.0, time.monotonic() + 1.8
    while time.monotonic() < end and burnt < 2.5:
        try:
            child = os.fork()
        except OSError:  # those that have ended are still there
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
            continue
        if child == 0:
            stop = time.process_time() + 0.03
            while time.process_time() < stop:
                pass
            os._exit(0)
        burnt += 0.03
    if burnt > 2:
        print("ESCAPED: burnt", round(burnt, 2), "s of CPU time in a test of 1 s", flush=True)
    return 0
