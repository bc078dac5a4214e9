"""Makes every kind of object that the kernel hands out by descriptor or number, in many processes.

Such memory is in no resident size: epoll, events, timers, terminals, pipes. Bounded: 2 s.

Expect: not passed
"""

import ctypes
import os
import select
import time

libc = ctypes.CDLL(None, use_errno=True)
MAKERS = [select.epoll, os.openpty, os.pipe, lambda: libc.eventfd(1 << 30, 0)]
MAKERS += [lambda: libc.timerfd_create(1, 0), lambda: libc.inotify_init1(0)]


def fill():
    kept = []
    for _ in range(300):
        for make in MAKERS:
            try:
                kept.append(make())
            except OSError:
                pass
    timers, timer = 0, ctypes.c_int()
    while timers < 50_000 and libc.timer_create(1, None, ctypes.byref(timer)) == 0:
        timers += 1
    if timers >= 10_000:
        print("ESCAPED:", timers, "timers in one process", flush=True)
    time.sleep(60)


for _ in range(14):
    try:
        if os.fork() == 0:
            fill()
    except OSError:
        break
time.sleep(60)
