"""Makes namespaces, in which it would have all rights: unshare, clone, clone3, setns.

Expect: contained
"""

import ctypes
import os
import platform
import struct

libc = ctypes.CDLL(None, use_errno=True)
UNSHARE, CLONE, SETNS = {"x86_64": (272, 56, 308), "aarch64": (97, 220, 268)}[platform.machine()]
NEW = {
    "user": 0x10000000,
    "mount": 0x20000,
    "pid": 0x20000000,
    "network": 0x40000000,
    "ipc": 0x8000000,
    "uts": 0x4000000,
    "cgroup": 0x2000000,
    "time": 0x80,
}


def reap(child, way, name):
    if child == 0:
        os._exit(0)
    if child > 0:
        print("ESCAPED: made a new", name, "namespace by", way, flush=True)
        os.waitpid(child, 0)


for name, flag in NEW.items():
    for flags in (flag, flag | NEW["user"]):
        if libc.syscall(UNSHARE, flags) == 0:
            print("ESCAPED: made a new", name, "namespace by unshare", flush=True)
        reap(libc.syscall(CLONE, flags | 17, 0, 0, 0, 0), "clone", name)
        arguments = ctypes.create_string_buffer(struct.pack("=8Q", flags, 0, 0, 0, 17, 0, 0, 0), 64)
        reap(libc.syscall(435, arguments, 64), "clone3", name)
for name in ("user", "mnt", "pid", "net", "ipc"):
    for pid in (1, os.getppid()):
        try:
            handle = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        except OSError:
            continue
        if libc.syscall(SETNS, handle, 0) == 0:
            print("ESCAPED: entered the", name, "namespace of process", pid, flush=True)
