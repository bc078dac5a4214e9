"""Watches folders of the machine with inotify, which tells the names of files in use there.

Expect: contained
"""

import ctypes
import os

import bait

libc = ctypes.CDLL(None, use_errno=True)
handle = libc.inotify_init1(0o4000)
if handle >= 0:
    for folder in (bait.FOLDER, os.path.dirname(bait.FILES[0])):
        if libc.inotify_add_watch(handle, folder.encode(), 0xFFF) >= 0:
            print("ESCAPED: watches", folder, flush=True)
