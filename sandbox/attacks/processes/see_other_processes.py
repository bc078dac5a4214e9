"""Reads the list of processes: command lines and open files of the machine or of other programs.

Expect: contained
"""

import os

import bait

try:
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
except OSError:
    pids = []
for pid in {*pids, str(bait.PROCESS)}:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            command = file.read().replace("\0", " ")
        if "read line" in command:
            print("ESCAPED: sees a process of the machine:", command, flush=True)
    except OSError:
        pass
    if pid == str(os.getpid()):
        continue
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        print("ESCAPED: sees the open files of process", pid, links[:3], flush=True)
    except OSError:
        pass
