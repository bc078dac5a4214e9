"""Uses the system calls of another instruction set, which a filter may have forgotten.

Expect: contained
"""

import ctypes
import mmap
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
if platform.machine() == "x86_64":
    if os.fork() == 0:
        # x32: the same numbers with a bit added; 41 is socket.
        if libc.syscall(0x40000000 + 41, 1, 1, 0) >= 0:
            print("ESCAPED: made a socket by an x32 call", flush=True)
        os._exit(0)
    if os.fork() == 0:
        # mov eax, 359 (socket); mov ebx, 1; mov ecx, 1; xor edx, edx; int 0x80; ret
        code = bytes.fromhex("53 b867010000 bb01000000 b901000000 31d2 cd80 5b c3")
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        if 0 <= ctypes.CFUNCTYPE(ctypes.c_int)(address)() < 1024:
            print("ESCAPED: made a socket by a 32-bit call", flush=True)
        os._exit(0)
    for _ in range(2):
        os.wait()
