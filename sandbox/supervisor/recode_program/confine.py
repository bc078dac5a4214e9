"""Confine the process of one program: what it gives up before any of its code runs."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from dataclasses import dataclass

from recode_program import linux, seccomp

RULESET = 100
"""The descriptor of the Landlock ruleset: out of the way of those that programs get."""
_OPEN_FILES = 256
_STACK_BYTES = 8 << 20
_PENDING_SIGNALS = 4096
"""Timers of POSIX count, too: kernel memory that is in nobody's resident size."""


@dataclass
class Settings:
    """How programs are confined; decided by the supervisor once, before any of them runs."""

    uid: int | None = None
    """The slot's own user id; `None` where the supervisor cannot change it."""
    keep_capabilities: int = 0
    seccomp: bool = True
    guard_signals: bool = False
    ruleset: int = -1
    guard_files: bool = False
    """Files of the user's own are in sight, and Landlock alone keeps programs from them."""
    only_beside_tests: bool = False
    """The ruleset keeps the signals of a candidate from the process of its tests, and that is all
    it is for: programs have a user id of their own."""
    other_processes: int = 0
    address_space: int = 0
    """Bytes of address space that a program has from the start; added to its limit."""
    disk_bytes: int = 0
    """What the work directory may hold; 0 where its file system is limited anyway."""
    disk_files: int = 0
    own_disk: bool = False
    """The work directory's file system is used by nobody else."""
    own_users: bool = False
    """In a user namespace made for the private disk, and with its capabilities."""
    work: str = "/tmp"  # noqa: S108 - a private tmpfs or folder
    shm: str = ""
    """Where shared memory and semaphores are files, if that is the worker's alone."""
    shm_files: int = 0
    """How many such files there may be; 0 where the kernel limits them."""
    child_signals: bool = False
    """Programs may decide what SIGCHLD does; their children's CPU time can then be missed."""
    guard_uid: int | None = None
    """A user id that nothing else has: helpers that act as `uid` have it as their real one."""
    warm: bool = True
    """Load libraries before the fork; useless where programs do not run in this interpreter."""


def confine(settings: Settings, cpu_s: float, memory: int, file_bytes: int, processes: int) -> None:
    """Give up everything the program must not have. Raises `OSError` if any of it fails.

    `memory` (bytes) limits the address space; 0 leaves it alone, and the supervisor has to watch.
    """
    os.setsid()
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # only a hint to the kernel whom to kill first
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)
    cpu = int(cpu_s) + 1
    limit = resource.setrlimit
    limit(resource.RLIMIT_CPU, (cpu, cpu))
    if memory:
        limit(resource.RLIMIT_AS, (settings.address_space + memory,) * 2)
    limit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    limit(resource.RLIMIT_CORE, (0, 0))
    limit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    limit(resource.RLIMIT_NPROC, (processes + settings.other_processes,) * 2)
    limit(resource.RLIMIT_STACK, (_STACK_BYTES, _STACK_BYTES))
    limit(resource.RLIMIT_MEMLOCK, (0, 0))
    limit(resource.RLIMIT_MSGQUEUE, (0, 0))
    limit(resource.RLIMIT_SIGPENDING, (_PENDING_SIGNALS, _PENDING_SIGNALS))
    limit(resource.RLIMIT_NICE, (0, 0))
    limit(resource.RLIMIT_RTPRIO, (0, 0))
    if settings.uid is not None:
        linux.prctl(linux.PR_SET_KEEPCAPS, 1 if settings.keep_capabilities else 0)
        os.setgroups([])
        os.setresgid(settings.uid, settings.uid, settings.uid)
        os.setresuid(settings.uid, settings.uid, settings.uid)
        if settings.keep_capabilities:
            linux.set_capabilities(settings.keep_capabilities)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user id cleared it
    if settings.ruleset >= 0 and not settings.only_beside_tests:
        linux.landlock_restrict(settings.ruleset)


def guard(settings: Settings, *, beside_tests: bool = False) -> None:
    """Tie this process, which is about to run the candidate, to what is its own.

    `beside_tests`: the tests run in the process that it was forked from. A second layer of the same
    Landlock rules makes that a stranger, which it cannot signal.
    """
    if settings.ruleset >= 0:
        if beside_tests:
            linux.landlock_restrict(settings.ruleset)
        os.close(settings.ruleset)
    if settings.seccomp and settings.uid is None:
        # With a user id of its own, one call kills all that a program started, wherever it hid.
        # Without, it must stay in its process group; that filter costs 0.3 ms.
        guards = seccomp.program_filter(
            os.getpid(),
            guard_signals=settings.guard_signals,
            guard_files=settings.guard_files,
        )
        seccomp.install(guards)
