"""Opens the memory of the process above it, and of all others, to read or change the judge.

Expect: contained
"""

import os

import bait

for pid in {1, 2, 3, os.getppid(), bait.PROCESS, *range(4, 60)} - {os.getpid()}:
    for name in (
        "mem",
        "maps",
        "syscall",
        "stack",
        "auxv",
        "pagemap",
        "clear_refs",
        "oom_score_adj",
    ):
        for flags in (os.O_RDWR, os.O_RDONLY) if name != "oom_score_adj" else (os.O_WRONLY,):
            try:
                handle = os.open(f"/proc/{pid}/{name}", flags)
                if flags == os.O_RDONLY and not os.read(handle, 16):
                    continue
                print("ESCAPED: opened", name, "of process", pid, flush=True)
            except OSError:
                pass
