"""Tries to get more of the processor than others, or to let them go first, since waiting for one
is no wall time: priority, scheduling, affinity.

Expect: contained
"""

import os

attempts = {
    "a better nice value": lambda: os.nice(-5),
    "a worse nice value": lambda: os.nice(5),
    "the scheduler for idle processors": lambda: os.sched_setscheduler(
        0, os.SCHED_IDLE, os.sched_param(0)
    ),
    "the first-in first-out scheduler": lambda: os.sched_setscheduler(
        0, os.SCHED_FIFO, os.sched_param(1)
    ),
    "the priority of its user's processes": lambda: os.setpriority(os.PRIO_USER, 0, 0),
    "the priority of its parent": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 10),
    "the processors of its parent": lambda: os.sched_setaffinity(os.getppid(), {0}),
}
before = os.nice(0), os.sched_getscheduler(0)
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError:
        continue
    if (os.nice(0), os.sched_getscheduler(0)) != before or "parent" in name:
        print("ESCAPED: changed", name, flush=True)
