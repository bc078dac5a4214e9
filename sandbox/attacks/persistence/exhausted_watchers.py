"""Uses up what the kernel counts per user: watches, events, pending signals, locked files.

Expect: not passed
"""

import ctypes
import fcntl
import os
import signal
import time

libc = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMAX})
kept = []
for _ in range(60):  # ending one takes the kernel a while
    kept.append(libc.inotify_init1(0))
    libc.inotify_add_watch(kept[-1], b".", 0xFFF)
for _ in range(1000):
    try:
        signal.pthread_kill(__import__("threading").get_ident(), signal.SIGRTMAX)
        os.kill(os.getpid(), signal.SIGRTMAX)
    except OSError:
        break
lock = os.open("recode-attack-lock", os.O_CREAT | os.O_RDWR)
try:
    for offset in range(0, 20000, 2):
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, offset)
except OSError:
    pass
time.sleep(0.1)
