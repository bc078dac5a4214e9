"""The few Linux calls that Python does not offer: prctl, Landlock, capabilities, huge pages."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct
import time

LIBC = ctypes.CDLL(None, use_errno=True)
MACHINE = platform.machine()
_fork = ctypes.PyDLL(None, use_errno=True).fork  # a `PyDLL` keeps Python's lock: so does the child

WALL = 0x40000000
"""`__WALL`: also wait for children made by clone(2) with an unusual exit signal."""

_HELPER_S = 5.0
"""How long a helper that sends one signal may take, on a busy machine."""

PR_SET_PDEATHSIG = 1
PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
_RAISE = 2

CAP_DAC_READ_SEARCH = 2
CAP_KILL = 5
CAP_SETGID = 6
CAP_SETUID = 7
CAP_SYS_ADMIN = 21

# The same numbers on every architecture (calls younger than the unified table).
_NR_LANDLOCK_CREATE = 444
_NR_LANDLOCK_ADD_RULE = 445
_NR_LANDLOCK_RESTRICT = 446
_NR_CAPSET = {"x86_64": 126, "aarch64": 91}
_MADV_COLLAPSE = 25

READ_FOLDER = 1 << 3
READ = (1 << 2) | READ_FOLDER
EXECUTE = 1 << 0
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FILE_ONLY = EXECUTE | (1 << 1) | (1 << 2) | _TRUNCATE | _IOCTL_DEV
# Everything but making device nodes (6: character, 11: block) and ioctl on devices (15).
WRITE = sum(1 << bit for bit in range(15) if bit not in (6, 11))


def prctl(option: int, argument: int = 0, *more: int) -> int:
    """Do what prctl does; `OSError` if the kernel refuses."""
    values = [ctypes.c_ulong(v) for v in (argument, *more, 0, 0, 0)[:4]]
    result = LIBC.prctl(ctypes.c_int(option), *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")
    return int(result)


def plain_fork() -> int:
    """Fork without what Python does before and after; `OSError` if the kernel refuses.

    For a process with one thread, which holds no lock: there, Python's care only recreates locks,
    seeds `random` again and touches 130 pages (0.6 ms). What C libraries registered is done.
    """
    pid = int(_fork())
    if pid < 0:
        raise OSError(ctypes.get_errno(), "fork was refused")
    return pid


def cpu_time(pid: int) -> float:
    """CPU seconds of all threads of a process; 0 when it is gone. Exact and cheap."""
    try:
        return time.clock_gettime(((~pid) << 3) | 2)
    except OSError:
        return 0.0


def syscall(number: int, *arguments: object) -> int:
    """Make a system call by number; `OSError` if the kernel refuses."""
    result = LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number} was refused")
    return int(result)


def landlock_abi() -> int:
    """The version of Landlock that this kernel offers; 0 if none."""
    try:
        return syscall(_NR_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def landlock_ruleset(abi: int, rules: dict[str, int] | None) -> int:
    """Make a ruleset and return its descriptor.

    `rules` maps a path to the rights below it (`READ`, `EXECUTE`, `WRITE`); paths that do not exist
    are left out. `None` leaves the file system alone and only scopes signals. TCP (from ABI 4),
    signals and abstract sockets (from ABI 6) are always cut off where the kernel can.
    """
    handled = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if abi >= since:
            handled |= right
    attribute = struct.pack(
        "=QQQ", handled if rules is not None else 0, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0
    )
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = syscall(
        _NR_LANDLOCK_CREATE, ctypes.c_char_p(attribute), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    for path, rights in (rules or {}).items():
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = rights & handled
        if not os.path.isdir(path):  # noqa: PTH112 - no pathlib here: start-up time
            allowed &= _FILE_ONLY
        rule = struct.pack("=Qi", allowed, handle)
        try:
            syscall(
                _NR_LANDLOCK_ADD_RULE,
                ctypes.c_int(ruleset),
                ctypes.c_int(1),
                ctypes.c_char_p(rule),
                ctypes.c_uint32(0),
            )
        finally:
            os.close(handle)
    return ruleset


def landlock_restrict(ruleset: int) -> None:
    """Put the calling process under a ruleset, for good."""
    syscall(_NR_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))


def effective_capabilities() -> int:
    """The bit set of this process's effective capabilities."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def set_capabilities(bits: int) -> None:
    """Keep these capabilities and nothing else, also in what this process executes."""
    header = struct.pack("=Ii", 0x20080522, 0)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    data = struct.pack("=IIIIII", low, low, low, high, high, high)
    syscall(_NR_CAPSET[MACHINE], ctypes.c_char_p(header), ctypes.c_char_p(data))
    for capability in range(64):
        if bits >> capability & 1:
            prctl(PR_CAP_AMBIENT, _RAISE, capability)


def collapse_heap() -> int:
    """Ask for huge pages under this process's private memory; return the bytes obtained.

    A fork copies one page-table entry per page: with 2 MiB pages it has 512 times less to copy.
    Kernels before 6.1, or with huge pages switched off, refuse, and nothing changes.
    """
    huge = 2 << 20
    obtained = 0
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123
        regions = [line.split(None, 5) for line in maps]
    for region in regions:
        name = region[5].strip() if len(region) > 5 else ""
        if not region[1].startswith("rw") or region[4] != "0" or name.startswith("[stack"):
            continue
        first, last = (int(part, 16) for part in region[0].split("-"))
        first, last = -(-first // huge) * huge, last // huge * huge
        for start in range(first, last, huge):
            size, address = ctypes.c_size_t(huge), ctypes.c_void_p(start)
            if LIBC.madvise(address, size, ctypes.c_int(_MADV_COLLAPSE)) == 0:
                obtained += huge
    return obtained


def become(uid: int, guard_uid: int | None) -> None:
    """Act as a slot's user id from now on, out of reach of the processes that have it.

    Who may signal a process is decided by its real and its saved user id. Those become `guard_uid`,
    which nothing else has; rights to files and to signal others go by the effective one.
    """
    own = uid if guard_uid is None else guard_uid
    os.setresuid(own, uid, own)


def ends_within(helper: int, seconds: float) -> bool:
    """Reap a child; kill it and return False if it does not end in time."""
    deadline = time.monotonic() + seconds
    pause = 0.0002
    while not os.waitpid(helper, os.WNOHANG | WALL)[0]:
        if time.monotonic() > deadline:
            with contextlib.suppress(OSError):
                os.kill(helper, signal.SIGKILL)
            os.waitpid(helper, WALL)
            return False
        time.sleep(pause)
        pause = min(0.01, pause * 2)
    return True


def kill_all_of(uid: int, guard_uid: int | None, number: int = signal.SIGKILL) -> bool:
    """Signal every process of a slot's user id (one system call, so no fork can slip through).

    Returns False if the helper that does it could not be had or did not end.
    """
    try:
        helper = os.fork()
    except OSError:
        return False
    if helper == 0:
        with contextlib.suppress(BaseException):
            become(uid, guard_uid)
            os.kill(-1, number)
        os._exit(0)
    return ends_within(helper, _HELPER_S)
