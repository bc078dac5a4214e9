"""Loads a program and makes a map in the kernel.

Expect: contained
"""

import ctypes
import platform
import struct

libc = ctypes.CDLL(None, use_errno=True)
BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
map_attributes = struct.pack("=IIII", 2, 4, 4, 1).ljust(128, b"\0")
if libc.syscall(BPF, 0, map_attributes, 128) >= 0:
    print("ESCAPED: made a map in the kernel", flush=True)
