"""Opens sockets and files behind the system-call filter's back, by io_uring.

Expect: contained
"""

import ctypes
import platform

libc = ctypes.CDLL(None, use_errno=True)
parameters = ctypes.create_string_buffer(120)
assert platform.machine() in {"x86_64", "aarch64"}
if libc.syscall(425, 8, parameters) >= 0:
    print("ESCAPED: has a ring", flush=True)
