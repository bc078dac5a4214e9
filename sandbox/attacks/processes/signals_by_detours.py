"""Signals the process above it by other ways: tgkill, queued signals, file owners, terminals.

Expect: contained
"""

import ctypes
import fcntl
import os
import platform

import bait

libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {"x86_64": (200, 234, 129, 297), "aarch64": (130, 131, 138, 240)}[platform.machine()]
tkill, tgkill, queue, thread_queue = NUMBERS
details = ctypes.create_string_buffer(128)
ctypes.c_int.from_buffer(details, 8).value = -1
for pid in (os.getppid(), bait.PROCESS):
    ways = {
        "tkill": (tkill, pid, 0),
        "tgkill": (tgkill, pid, pid, 0),
        "a queued signal": (queue, pid, 0, details),
        "a queued signal to a thread": (thread_queue, pid, pid, 0, details),
    }
    for name, arguments in ways.items():
        if libc.syscall(*arguments) == 0:
            print("ESCAPED: may signal process", pid, "by", name, flush=True)
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        print("ESCAPED: made process", pid, "the owner of a file", flush=True)
    except OSError:
        pass
