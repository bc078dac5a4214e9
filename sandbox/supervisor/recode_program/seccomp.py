"""The system-call filters: what programs need is allowed, and every other number is refused.

Two filters: one for the zygotes, which every program inherits for free, and a small one that each
program installs itself (what the zygote still needs before it hands over). The first is an
allow-list: a deny-list went out of date with each kernel (setxattrat, new in Linux 6.13, changed
the modes of files that Landlock kept closed). A call that is on no list fails with `ENOSYS`, as on
a kernel that lacks it, so that libraries fall back; what attacks want fails with `EPERM`, and a
program sees an ordinary exception. A foreign instruction set is killed.
"""

from __future__ import annotations

import ctypes
import errno
import signal
import struct

from recode_program import linux, syscalls

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_AND = 0x54
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEW{CGROUP,UTS,IPC,USER,PID,NET}, NS and TIME


_UNAVAILABLE = frozenset({"clone3", "memfd_create", "memfd_secret", "io_uring_setup"})
_SPECIAL = frozenset({
    "clone", "prlimit64", "sched_setaffinity", "setpriority", "ioprio_set", "fcntl", "ioctl",
    "socketpair",
})  # fmt: skip
_GROUPS = frozenset({"setsid", "setpgid"})
_ATTRIBUTES = frozenset({
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime",
    "utimes", "futimesat", "utimensat",
})  # fmt: skip
_EXTENDED = frozenset({
    "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
})  # fmt: skip
_SIGNALS = frozenset({"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"})


class UnsupportedMachineError(OSError):
    """There is no table of system calls for this processor."""


def _number(name: str) -> int | None:
    if linux.MACHINE not in _ARCH:
        raise UnsupportedMachineError(errno.ENOSYS, f"no seccomp filter for {linux.MACHINE}")
    numbers = syscalls.RULED.get(name) or syscalls.FREE[name]
    return numbers[0 if linux.MACHINE == "x86_64" else 1]


def _known(name: str) -> int:
    number = _number(name)
    assert number is not None
    return number


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value & 0xFFFFFFFF)


def _argument(index: int, *, high: bool = False) -> bytes:
    return _op(_LOAD, _FIRST_ARGUMENT_AT + 8 * index + (4 if high else 0))


def _verdict(action: int) -> bytes:
    return _op(_RETURN, action)


_PERMITTED = _verdict(_ALLOW)
_REFUSED = _verdict(_ERRNO | errno.EPERM)
_UNKNOWN = _verdict(_ERRNO | errno.ENOSYS)
_PRETENDED = _verdict(_ERRNO)  # returns 0 and does nothing
_UNSUPPORTED = _verdict(_ERRNO | errno.ENOTSUP)


def _allow_only(index: int, *values: int) -> bytes:
    """Allow the call if the argument (a pid: 32 bits) is one of the values."""
    tests = b"".join(_op(_EQUAL, value, 0, 1) + _PERMITTED for value in values)
    return _argument(index) + tests + _REFUSED


def _refuse_values(index: int, *values: int) -> bytes:
    """Refuse the call if the argument (a command: 32 bits) is one of the values."""
    tests = b"".join(_op(_EQUAL, value, 0, 1) + _REFUSED for value in values)
    return _argument(index) + tests + _PERMITTED


def _child_signals_stay() -> bytes:
    """Let changes of what SIGCHLD does have no effect.

    The kernel adds the CPU time of a child to its parent's when the parent waits for it; whoever
    ignores the signal need not wait, and the time is nobody's.
    """
    act = (_argument(1), _argument(1, high=True))
    query = act[0] + _op(_EQUAL, 0, 0, 2) + act[1] + _op(_EQUAL, 0, 1, 0)
    body = query + _PRETENDED + _PERMITTED
    return _argument(0) + _op(_EQUAL, signal.SIGCHLD, 1, 0) + _PERMITTED + body


def _own_priority() -> bytes:
    """Nobody gets a better priority; a worse one is refused silently.

    Waiting for a processor is no wall time: a program that always lets others go first would have
    as much of it as it likes.
    """
    head = _argument(0) + _op(_EQUAL, 0, 1, 0) + _REFUSED  # which = a process
    head += _argument(1) + _op(_EQUAL, 0, 1, 0) + _REFUSED  # who = the caller
    return head + _argument(2) + _op(_AT_LEAST, 1 << 31, 0, 1) + _REFUSED + _PRETENDED


def _special(name: str) -> bytes:
    if name == "clone":  # no new namespaces; plain forks and threads are fine
        return _argument(0) + _op(_ANY_BIT, _NEW_NAMESPACES, 0, 1) + _REFUSED + _PERMITTED
    if name == "fcntl":  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals by way of a descriptor
        return _refuse_values(1, 8, 10, 15)
    if name == "ioctl":  # TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
        return _refuse_values(1, 0x5412, 0x541C, 0x8901, 0x8902)
    if name == "socketpair":  # a pair of datagram sockets can send to any address
        return _argument(1) + _op(_AND, 0xF) + _op(_EQUAL, 2, 0, 1) + _REFUSED + _PERMITTED
    if name == "setpriority":
        return _own_priority()
    if name == "ioprio_set":  # which = process only, who = self only
        return _argument(0) + _op(_EQUAL, 1, 1, 0) + _REFUSED + _allow_only(1, 0)
    return _allow_only(0, 0)  # pid 0: the caller itself


def _program(rules: dict[int, bytes], otherwise: bytes) -> bytes:
    """Assemble the rules (system call number -> what to do) as a binary search tree."""

    def tree(numbers: list[int]) -> bytes:
        if len(numbers) > 4:
            middle = len(numbers) // 2
            left, right = tree(numbers[:middle]), tree(numbers[middle:])
            # An unconditional jump takes 32 bits, the conditional ones only 8.
            jump = _op(0x05, len(left) // 8)
            return _op(_AT_LEAST, numbers[middle], 0, 1) + jump + left + right
        code = b""
        for number in numbers:
            body = rules[number]
            code += _op(_EQUAL, number, 1, 0) + _op(0x05, len(body) // 8) + body
        return code + otherwise

    head = _op(_LOAD, _ARCH_AT) + _op(_EQUAL, _ARCH[linux.MACHINE], 1, 0) + _verdict(_KILL)
    head += _op(_LOAD, _NR_AT)
    if linux.MACHINE == "x86_64":
        head += _op(_AT_LEAST, _X32, 0, 1) + _verdict(_KILL)
    return head + tree(sorted(rules))


def zygote_filter(*, child_signals: bool = False) -> bytes:
    """The filter that zygotes install and all programs inherit.

    With `child_signals` programs decide what SIGCHLD does: runtimes of other languages learn by it
    that a child has ended.
    """
    rules = {}
    for name in [*syscalls.FREE, *syscalls.RULED]:
        number = _number(name)
        if number is None:
            continue
        if name in syscalls.FREE or name in _GROUPS | _SIGNALS | _ATTRIBUTES | _EXTENDED:
            rules[number] = _PERMITTED
        elif name in _SPECIAL:
            rules[number] = _special(name)
        elif name in _UNAVAILABLE:
            rules[number] = _UNKNOWN
        else:
            rules[number] = _REFUSED
    if not child_signals:
        rules[_known("rt_sigaction")] = _child_signals_stay()
    return _program(rules, _UNKNOWN)


def program_filter(pid: int, *, guard_signals: bool, guard_files: bool) -> bytes:
    """The filter that one program installs: it stays in its process group.

    With `guard_signals` it can signal nobody but itself, its group and the process `pid` (its
    first one); needed where neither an own user id nor Landlock keeps signals in. With
    `guard_files`, changes of a file's mode, owner or times do nothing, and say that they did
    (`shutil.copy` makes them), and there are no extended attributes: needed where programs run as
    a user who owns files, since Landlock does not govern them.
    """
    rules = {}
    for name in _GROUPS | (_SIGNALS if guard_signals else frozenset()):
        number = _number(name)
        if number is not None:
            allowed = (0, pid) if name == "kill" else (pid,)
            rules[number] = _REFUSED if name in _GROUPS else _allow_only(0, *allowed)
    for name in _ATTRIBUTES | _EXTENDED if guard_files else ():
        number = _number(name)
        if number is not None:
            rules[number] = _UNSUPPORTED if name in _EXTENDED else _PRETENDED
    return _program(rules, _PERMITTED)


def install(program: bytes) -> None:
    """Install a filter in this process; needs no_new_privs."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header, len(header))
    linux.prctl(linux.PR_SET_SECCOMP, 2, ctypes.addressof(pointer))
