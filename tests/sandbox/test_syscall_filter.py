"""The system-call filters, run instruction by instruction as the kernel would, on both processors.

So every number can be asked for, also on the processor that this machine has not.
"""

from __future__ import annotations

import errno
import os
import platform
import signal
import struct
import sys

import pytest

from recode_eval.sandbox.local import supervisor_folder

sys.path.insert(0, str(supervisor_folder()))
from recode_program import linux, seccomp, syscalls

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
KILLED, ALLOWED = 0x80000000, 0x7FFF0000
UNKNOWN, REFUSED, UNSUPPORTED, PRETENDED = (
    0x00050000 | code for code in (errno.ENOSYS, errno.EPERM, errno.ENOTSUP, 0)
)
HIGHEST = 1000
"""Far above the highest number of Linux 6.18 (469)."""
NEEDED = (
    "read", "write", "openat", "close", "fstat", "newfstatat", "statx", "lseek", "mmap",
    "mprotect", "munmap", "brk", "mremap", "madvise", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "ioctl", "pread64", "pwrite64", "readv", "writev", "pipe2", "dup", "dup3",
    "clone", "execve", "exit", "exit_group", "wait4", "waitid", "kill", "tgkill", "uname",
    "fcntl", "flock", "fsync", "ftruncate", "getdents64", "getcwd", "chdir", "renameat2",
    "mkdirat", "unlinkat", "linkat", "symlinkat", "readlinkat", "fchmod", "fchmodat",
    "utimensat", "umask", "clock_gettime", "clock_nanosleep", "getrusage", "sysinfo",
    "getuid", "getgid", "sched_yield", "sched_getaffinity", "futex", "set_robust_list",
    "rseq", "getrandom", "eventfd2", "epoll_create1", "epoll_ctl", "epoll_pwait",
    "timerfd_create", "socketpair", "sendmsg", "recvmsg", "prctl", "prlimit64",
    "copy_file_range", "membarrier", "sigaltstack", "setitimer",
)  # fmt: skip
"""What Python, numpy, pandas, torch, asyncio and subprocess make on a current glibc."""
NEVER = (
    "socket", "connect", "ptrace", "process_vm_readv", "bpf", "perf_event_open", "mount",
    "unshare", "setns", "keyctl", "io_uring_setup", "userfaultfd", "pidfd_open",
    "pidfd_getfd", "open_by_handle_at", "init_module", "sched_setscheduler", "sched_setattr",
    "sched_setparam", "move_pages", "shmget", "msgget", "mq_open",
)  # fmt: skip
ABSENT = (
    (463, "setxattrat"), (466, "removexattrat"), (469, "file_setattr"), (462, "mseal"),
    (444, "landlock_create_ruleset"), (445, "landlock_add_rule"),
)  # fmt: skip


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """Run a classic BPF program on the call's `seccomp_data`; return what it returns."""
    data = struct.pack("=iIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == 0x06:
            return int(constant)
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
        elif operation == 0x54:
            value &= constant
        elif operation == 0x05:
            at += constant
        else:
            holds = {
                0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant),
            }[operation]  # fmt: skip
            at += if_true if holds else if_false


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """The architecture's token and its column in the tables."""
    monkeypatch.setattr(linux, "MACHINE", request.param)
    return MACHINES[request.param]


def number_of(name: str, column: int) -> int:
    number = (syscalls.FREE | syscalls.RULED)[name][column]
    assert number is not None, name
    return number


def test_no_number_stands_twice(machine: tuple[int, int]) -> None:
    assert not syscalls.FREE.keys() & syscalls.RULED.keys()
    tables = (*syscalls.FREE.values(), *syscalls.RULED.values())
    numbers = [row[machine[1]] for row in tables if row[machine[1]] is not None]
    assert len(numbers) == len(set(numbers)) > 250


def test_every_number_that_no_table_has_does_not_exist(machine: tuple[int, int]) -> None:
    """A deny-list let `setxattrat` through, which Linux 6.13 had added: an ACL opened a file.

    Numbers beyond the last known one are those of kernels that are still to come.
    """
    arch, column = machine
    known = {row[column] for row in (syscalls.FREE | syscalls.RULED).values()}
    for filters in (seccomp.zygote_filter(), seccomp.zygote_filter(child_signals=True)):
        for number in set(range(HIGHEST)) - known:
            assert verdict(filters, arch, number) == UNKNOWN, number
        assert verdict(filters, arch, 0x3FFFFFFF) == UNKNOWN
    for number, name in ABSENT:
        assert number not in known, name


def test_calls_are_let_through_or_refused_by_name(machine: tuple[int, int]) -> None:
    arch, column = machine
    program = seccomp.zygote_filter()
    for name in syscalls.FREE.keys() - {"rt_sigaction"}:
        number = syscalls.FREE[name][column]
        if number is not None:
            assert verdict(program, arch, number) == ALLOWED, name
    for name in NEEDED:
        assert verdict(program, arch, number_of(name, column)) == ALLOWED, name
    for name in NEVER:
        assert verdict(program, arch, number_of(name, column)) in {REFUSED, UNKNOWN}, name


def test_other_instruction_sets_are_killed(machine: tuple[int, int]) -> None:
    """The 32-bit calls of a 64-bit kernel, and x32, have numbers of their own."""
    arch, column = machine
    program = seccomp.zygote_filter()
    assert verdict(program, 0x40000003, number_of("getpid", column)) == KILLED
    if column == 0:
        assert verdict(program, arch, 0x40000000 | number_of("getpid", column)) == KILLED


def test_what_sigchld_does_stays(machine: tuple[int, int]) -> None:
    """With SIGCHLD ignored, children were reaped by the kernel, and their CPU time by nobody.

    To ask for it, and to handle other signals, is free; other languages' runtimes need it.
    """
    arch, column = machine
    number = number_of("rt_sigaction", column)
    program, free = seccomp.zygote_filter(), seccomp.zygote_filter(child_signals=True)
    for address in (1, 1 << 32, 0x7FFF12345678):
        assert verdict(program, arch, number, signal.SIGCHLD, address) == PRETENDED
        assert verdict(program, arch, number, 1 << 32 | signal.SIGCHLD, address) == PRETENDED
        assert verdict(program, arch, number, signal.SIGTERM, address) == ALLOWED
        assert verdict(free, arch, number, signal.SIGCHLD, address) == ALLOWED
    assert verdict(program, arch, number, signal.SIGCHLD, 0, 0x7FFF12345678) == ALLOWED


def test_nobody_changes_a_priority(machine: tuple[int, int]) -> None:
    """A leader that let all others go first stretched its wall time from 2 s to 9 s."""
    arch, column = machine
    program, number = seccomp.zygote_filter(), number_of("setpriority", column)
    minus_5 = (1 << 64) - 5
    assert verdict(program, arch, number, os.PRIO_PROCESS, 0, 19) == PRETENDED
    assert verdict(program, arch, number, os.PRIO_PROCESS, 0, minus_5) == REFUSED
    assert verdict(program, arch, number, os.PRIO_PROCESS, 1, 19) == REFUSED
    assert verdict(program, arch, number, os.PRIO_PGRP, 0, 19) == REFUSED
    assert verdict(program, arch, number, os.PRIO_USER, 0, 19) == REFUSED


def test_the_filter_of_one_program_holds_its_group_and_its_files(machine: tuple[int, int]) -> None:
    arch, column = machine
    program = seccomp.program_filter(4711, guard_signals=True, guard_files=True)
    wanted = {
        ("kill", (4711, 9)): ALLOWED, ("kill", (0, 9)): ALLOWED, ("kill", (1, 9)): REFUSED,
        ("kill", ((1 << 32) - 1, 9)): REFUSED, ("tgkill", (4712, 4712, 9)): REFUSED,
        ("setsid", ()): REFUSED, ("setpgid", (0, 0)): REFUSED, ("fchmod", (3, 0o666)): PRETENDED,
        ("setxattr", (1,)): UNSUPPORTED, ("read", (0,)): ALLOWED,
    }  # fmt: skip
    for (name, arguments), expected in wanted.items():
        found = verdict(program, arch, number_of(name, column), *arguments)
        assert found == expected, (name, arguments)


def test_an_unknown_processor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "MACHINE", "riscv64")
    with pytest.raises(seccomp.UnsupportedMachineError, match="riscv64"):
        seccomp.zygote_filter()


@pytest.mark.skipif(platform.machine() not in MACHINES, reason="no filter for this processor")
def test_the_kernel_takes_the_filters() -> None:
    """It refuses programs that are too long, jump out, or do not end."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
            seccomp.install(seccomp.zygote_filter())
            seccomp.install(
                seccomp.program_filter(os.getpid(), guard_signals=True, guard_files=True)
            )
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
