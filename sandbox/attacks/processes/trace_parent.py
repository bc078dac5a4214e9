"""Attaches as a debugger to the process above it and to others: ptrace, process_vm_readv.

Expect: contained
"""

import ctypes
import os
import platform

import bait

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
READ, WRITE = {"x86_64": (310, 311), "aarch64": (270, 271)}[platform.machine()]
for pid in (os.getppid(), bait.PROCESS, 1):
    for request in (0x4206, 16):  # PTRACE_SEIZE, PTRACE_ATTACH
        if libc.ptrace(request, pid, 0, 0) == 0:
            print("ESCAPED: traces process", pid, flush=True)
            libc.ptrace(17, pid, 0, 0)
    target = ctypes.create_string_buffer(8)
    here = (ctypes.c_void_p * 2)(ctypes.addressof(target), 8)
    there = (ctypes.c_void_p * 2)(id(None), 8)
    for number in (READ, WRITE):
        if libc.syscall(number, pid, here, 1, there, 1, 0) > 0:
            print("ESCAPED: reached the memory of process", pid, flush=True)
