"""Mounts file systems, by the old and by the new calls, and changes or removes mounts.

Expect: contained
"""

import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
MOUNT, UMOUNT, PIVOT = {"x86_64": (165, 166, 155), "aarch64": (40, 39, 41)}[platform.machine()]
os.makedirs("target", exist_ok=True)
here = os.path.abspath("target").encode()
for source, kind, flags in (
    (b"none", b"tmpfs", 0),
    (b"proc", b"proc", 0),
    (b"/", b"", 4096),
    (b"none", b"", 32 | 4096),
    (b"none", b"overlay", 0),
    (b"none", b"sysfs", 0),
):
    if libc.syscall(MOUNT, source, here, kind, flags, None) == 0:
        print("ESCAPED: mounted", kind or source, flush=True)
for path in (b"/proc", b"/tmp", b"/", b"/dev"):
    if libc.syscall(UMOUNT, path, 2 | 8) == 0:
        print("ESCAPED: unmounted", path, flush=True)
if libc.syscall(PIVOT, here, here) == 0:
    print("ESCAPED: changed the root", flush=True)
CALLS = {
    "open_tree": (428, -100, b"/", 1),
    "fsopen": (430, b"tmpfs", 0),
    "fspick": (433, -100, b"/", 0),
    "mount_setattr": (442, -100, b"/", 0, ctypes.create_string_buffer(32), 32),
}
for name, arguments in CALLS.items():
    if libc.syscall(*arguments) >= 0:
        print("ESCAPED: the call", name, "worked", flush=True)
