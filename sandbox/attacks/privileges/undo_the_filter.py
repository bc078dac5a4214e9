"""Installs system-call filters and other confinements of its own, to weaken those it is under.

Expect: not passed
"""

import ctypes
import struct

libc = ctypes.CDLL(None, use_errno=True)
for option in (38, 4, 8, 1, 36):  # no_new_privs, dumpable, keepcaps, death signal, subreaper
    libc.prctl(option, 0, 0, 0, 0)
libc.prctl(4, 1, 0, 0, 0)
if libc.prctl(39, 0, 0, 0, 0) != 1:
    print("ESCAPED: may gain privileges again", flush=True)
# A filter that says "no" to every call with an error that looks like success.
instructions = struct.pack("=HBBI", 0x06, 0, 0, 0x00050000)


def answer(question):
    buffer = ctypes.create_string_buffer(instructions, 8)
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(buffer))
    libc.prctl(22, 2, ctypes.create_string_buffer(program, len(program)), 0, 0)
    return 0
