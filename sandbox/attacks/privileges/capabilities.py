"""Gives itself capabilities, and checks that it has none that matter and can gain none.

Expect: contained
"""

import ctypes
import os
import platform
import struct

libc = ctypes.CDLL(None, use_errno=True)
SET, GET = {"x86_64": (126, 125), "aarch64": (91, 90)}[platform.machine()]
header = struct.pack("=Ii", 0x20080522, 0)
for bits in (0xFFFFFFFF, 1 << 21, 1 << 7, 1 << 6, 1 << 5, 1 << 1, 1):
    data = struct.pack("=IIIIII", bits, bits, 0, 0, 0, 0)
    if libc.syscall(SET, header, data) == 0:
        print("ESCAPED: took the capabilities", hex(bits), flush=True)
held = ctypes.create_string_buffer(24)
libc.syscall(GET, ctypes.create_string_buffer(header, 8), held)
effective = struct.unpack("=IIIIII", held.raw)[0]
DAC_READ_SEARCH = 1 << 2  # where Landlock decides what may be read
if effective & ~DAC_READ_SEARCH:
    print("ESCAPED: holds the capabilities", hex(effective), flush=True)
if libc.prctl(39, 0, 0, 0, 0) != 1:
    print("ESCAPED: may gain privileges by executing a program", flush=True)
if os.getuid() == 0:
    print("ESCAPED: runs as root", flush=True)
