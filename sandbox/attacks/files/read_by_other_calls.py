"""Reaches the bait by other ways than `open`: links, renaming, executing, mapping, file handles.

Expect: contained
"""

import mmap
import os
import subprocess

import bait

for path in bait.FILES:
    for name, call in {
        "hard link": os.link,
        "renamed": os.rename,
        "symbolic link": os.symlink,
    }.items():
        try:
            call(path, "taken")
            with open("taken") as file:
                print("ESCAPED: read by", name, path, repr(file.read(20)), flush=True)
        except OSError:
            pass
        try:
            os.unlink("taken")
        except OSError:
            pass
    try:
        said = subprocess.run(["/bin/cat", path], capture_output=True, timeout=5).stdout
        if said:
            print("ESCAPED: another program read", path, flush=True)
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        handle = os.open(path, os.O_PATH)
        with open(f"/proc/self/fd/{handle}", "rb") as file:
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            print("ESCAPED: mapped", path, flush=True)
    except OSError:
        pass
