"""Tries to raise its own limits and to lower those of its parent.

Expect: contained
"""

import os
import resource

import bait

for name in ("AS", "CPU", "NPROC", "NOFILE", "FSIZE", "CORE"):
    which = getattr(resource, f"RLIMIT_{name}")
    _, hard = resource.getrlimit(which)
    for more in (hard + 1, hard * 2 + 1, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(which, (more, more))
            print("ESCAPED: raised the limit", name, flush=True)
        except (OSError, ValueError):
            pass
    for pid in (os.getppid(), bait.PROCESS):
        try:
            resource.prlimit(pid, which, (0, 0))
            print("ESCAPED: changed the limit", name, "of process", pid, flush=True)
        except (OSError, ValueError):
            pass
