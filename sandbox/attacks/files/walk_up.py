"""Leaves the work directory upwards: "..", chroot, the root of every process, inherited folders.

Expect: contained
"""

import os

import bait

wanted = bait.FILES[0]


def look(prefix):
    try:
        with open(prefix + wanted) as file:
            print("ESCAPED: read by way of", prefix, repr(file.read(20)), flush=True)
    except OSError:
        pass


look("../" * 40)
for pid in [1, 2, os.getppid(), bait.PROCESS, *range(1, 40)]:
    look(f"/proc/{pid}/root")
    look(f"/proc/{pid}/cwd/" + "../" * 40)
for number in range(1024):
    try:
        os.fchdir(number)
    except OSError:
        continue
    look("../" * 40)
    os.chdir("/")
for call in (lambda: os.chroot("."), lambda: os.chroot("/proc/1/root")):
    try:
        call()
        print("ESCAPED: changed the root directory", flush=True)
    except OSError:
        pass
