"""Takes kernel memory by the sandbox's own means: rulesets of Landlock with very many rules.

Expect: not passed
"""

import ctypes
import os
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
attribute = ctypes.create_string_buffer(struct.pack("=QQ", 1, 3), 16)
rules, end = 0, time.monotonic() + 0.8
while time.monotonic() < end:
    handle = libc.syscall(444, attribute, ctypes.c_size_t(16), 0)
    if handle < 0:
        break
    for port in range(65536):
        rule = struct.pack("=QQ", 1, port)
        if libc.syscall(445, handle, 2, rule, 0) or time.monotonic() > end:
            break
        rules += 1
if rules > 1000:
    print("ESCAPED:", rules, "rules in rulesets of process", os.getpid(), flush=True)
time.sleep(60)
