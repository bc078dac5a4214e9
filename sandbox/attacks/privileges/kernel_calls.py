"""Calls what only administrators need: modules, reboot, clock, swap, log, accounting, host name.

The arguments are invalid, so that a call that is allowed fails in another way and does no harm.
Expect: contained
"""

import ctypes
import errno
import platform

libc = ctypes.CDLL(None, use_errno=True)
COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]
CALLS = {
    "init_module": ((175, 105), (0, 0, 0)),
    "finit_module": ((313, 273), (-1, 0, 0)),
    "delete_module": ((176, 106), (0, 0)),
    "kexec_load": ((246, 104), (0, 99, 0, 0)),
    "reboot": ((169, 142), (0, 0, 0, 0)),
    "settimeofday": ((164, 170), (1, 0)),
    "clock_settime": ((227, 112), (99, 0)),
    "swapon": ((167, 224), (0, 0)),
    "acct": ((163, 89), (1,)),
    "syslog": ((103, 116), (2, 0, -1)),
    "sethostname": ((170, 161), (0, -1)),
    "setdomainname": ((171, 162), (0, -1)),
    "quotactl": ((179, 60), (0, 0, 0, 0)),
    "perf_event_open": ((298, 241), (0, 0, -1, -1, 0)),
    "bpf": ((321, 280), (0, 0, 0)),
    "userfaultfd": ((323, 282), (0,)),
    "io_uring_setup": ((425, 425), (4, 0)),
    "keyctl": ((250, 219), (0, -3, 0)),
    "add_key": ((248, 217), (0, 0, 0, 0, 0)),
    "open_by_handle_at": ((304, 265), (-1, 0, 0)),
    "fanotify_init": ((300, 262), (0, 0)),
    "lookup_dcookie": ((212, 18), (0, 0, 0)),
    "process_madvise": ((440, 440), (-1, 0, 0, 0, 0)),
    "move_pages": ((279, 239), (1, 0, 0, 0, 0, 0)),
}
REFUSED = {errno.EPERM, errno.ENOSYS, errno.EACCES}
for name, (numbers, arguments) in CALLS.items():
    ctypes.set_errno(0)
    values = [ctypes.c_long(value) for value in arguments]
    if (
        libc.syscall(ctypes.c_long(numbers[COLUMN]), *values) >= 0
        or ctypes.get_errno() not in REFUSED
    ):
        print("ESCAPED: may call", name, "errno", ctypes.get_errno(), flush=True)
