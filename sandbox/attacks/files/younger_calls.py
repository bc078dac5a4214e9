"""Changes files by calls that are younger than most lists of calls: setxattrat, file_setattr, ...

Landlock does not govern the access lists and attributes of files, so a program that runs as the
files' owner may open them to everybody.

Expect: contained
"""

import ctypes
import struct

import bait

libc = ctypes.CDLL(None, use_errno=True)
HERE, REMOVE, GET = -100, 466, 468
# An access list: everybody may read and write.
entries = [(1, 6, 0xFFFFFFFF), (4, 6, 0xFFFFFFFF), (32, 6, 0xFFFFFFFF)]
acl = struct.pack("=I", 2) + b"".join(struct.pack("=HHI", *entry) for entry in entries)
buffer = ctypes.create_string_buffer(acl, len(acl))
value = struct.pack("=QII", ctypes.addressof(buffer), len(acl), 0)
for path in map(str.encode, bait.FILES):
    name = b"system.posix_acl_access"
    if libc.syscall(463, HERE, path, 0, name, value, ctypes.c_size_t(len(value))) == 0:
        print("ESCAPED: changed the access list of", path, flush=True)
    if libc.syscall(REMOVE, HERE, path, 0, name) == 0:
        print("ESCAPED: removed the access list of", path, flush=True)
    attributes = ctypes.create_string_buffer(24)
    if libc.syscall(GET, HERE, path, attributes, ctypes.c_size_t(24), 0) == 0:
        print("ESCAPED: read the attributes of", path, flush=True)
        if libc.syscall(469, HERE, path, attributes, ctypes.c_size_t(24), 0) == 0:
            print("ESCAPED: set the attributes of", path, flush=True)
