"""A zygote: a process with a set of libraries loaded and used once, which forks the programs.

It never sees a program: source and tests travel over the program's own socket after the fork, so no
program can find those of another in inherited memory. It is the reaper of everything the program
starts; when `waitpid` says `ECHILD`, nothing of it is left.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from recode_program import (
    command,
    crossing_libraries,
    grader,
    linux,
    protocol,
    runner,
    seccomp,
    tampering,
    thread_pools,
    warmup,
)
from recode_program.confine import RULESET, confine, guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_program.confine import Settings

_CLEAN_UP_S = 10.0
_GRACE_S = 0.2


def serve(control: socket.socket, libraries: tuple[str, ...], settings: Settings) -> NoReturn:
    """Load the libraries, say so, then fork programs until the supervisor hangs up."""
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    loaded = warmup.load(libraries) if settings.warm else []
    if settings.warm and not settings.shm:
        thread_pools.need_no_semaphores()
    warmup.start_by_fork()
    if settings.seccomp:
        seccomp.install(seccomp.zygote_filter(child_signals=settings.child_signals))
    index = tampering.remember()
    crossing_libraries.bind()
    gc.collect()
    gc.freeze()
    huge = linux.collapse_heap()
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        pages = [int(part) for part in statm.read().split()]
    settings.address_space = pages[0] * os.sysconf("SC_PAGE_SIZE")
    control.send(f"{os.getpid()} {(pages[1] - pages[2]) * 4096} {huge} {','.join(loaded)}".encode())
    fork = _forker()
    child = 0
    while True:
        request, handles = protocol.receive_handles(control, 256, 3)
        if not request:
            if child:
                _end(child, settings)
            os._exit(0)
        if request[:1] in {protocol.RUN, protocol.SPLIT, protocol.EXECUTE}:
            child = fork() or _become_program(control, request, handles, settings, index)
            for handle in handles:
                os.close(handle)
            control.send(struct.pack("=i", child))
        elif request[:1] in {b"K", b"W"}:
            if request[:1] == b"W":
                _wait_for_exit(child)
            report = _end(child, settings)
            child = 0
            control.send(report)


def _forker() -> Callable[[], int]:
    """How to fork programs: the cheap way where it was tried, and where there is but one thread."""
    tried = sys.version_info[:2] == (3, 11) and sys.implementation.name == "cpython"
    return linux.plain_fork if tried and len(sys._current_frames()) == 1 else os.fork


def _become_program(
    control: socket.socket,
    request: bytes,
    handles: list[int],
    settings: Settings,
    index: tampering.Index,
) -> NoReturn:
    channel_handle, output = handles[:2]
    try:
        order, cpu_s, memory, file_bytes, processes = protocol.FORK.unpack(request)
        control.detach()
        os.dup2(handles[-1], 1)  # the same, or a pipe where verdicts are read from it
        os.dup2(output, 2)
        os.dup2(channel_handle, 3, inheritable=False)
        os.closerange(4, RULESET)
        os.closerange(RULESET + 1, 4096)
        null = os.open("/dev/null", os.O_RDONLY)  # its flags are shared by all who inherit it
        os.dup2(null, 0)
        os.close(null)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, 3)
        # The supervisor ignores both, and what a program starts would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            confine(settings, cpu_s, memory, file_bytes, processes)
            if order != protocol.SPLIT:
                guard(settings)
            os.chdir(settings.work)
        except BaseException as problem:  # noqa: BLE001 - any failure here must stop the program
            channel.send(protocol.BROKEN + repr(problem).encode()[:900])
            os._exit(1)
        if order == protocol.EXECUTE:
            command.run(channel)
        if order == protocol.SPLIT:
            grader.run(
                channel, runner.OWN_MODULES, runner.seeders, _forker(),
                functools.partial(guard, settings, beside_tests=True),
            )  # fmt: skip
        runner.run(channel, index)
    finally:
        os._exit(1)


def _wait_for_exit(pid: int) -> None:
    """Its socket is closed: give it a moment to die by itself, so that the status tells why."""
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.001)


def _end(pid: int, settings: Settings) -> bytes:
    """Kill the program and all it started; prove that nothing is left."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, linux.WALL)
    clean = True
    deadline = time.monotonic() + _CLEAN_UP_S
    cpu_s = usage.ru_utime + usage.ru_stime
    while True:
        try:
            other, _, more = os.wait4(-1, linux.WALL | os.WNOHANG)
        except ChildProcessError:
            break
        if other:
            cpu_s += more.ru_utime + more.ru_stime
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if settings.uid is not None:
            linux.kill_all_of(settings.uid, settings.guard_uid)
        if time.monotonic() > deadline:
            clean = False
            break
        time.sleep(0.001)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = -1 if number else os.WEXITSTATUS(status)
    return protocol.REPORT.pack(code, number, cpu_s, usage.ru_maxrss * 1024, clean)


def start(
    libraries: tuple[str, ...], settings: Settings, control: socket.socket, requests: socket.socket
) -> int:
    """Fork a zygote; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(0, requests.detach())  # its number must not go to what a program gets
            os.setpgid(0, 0)
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
            serve(control, libraries, settings)
        except BaseException as problem:  # noqa: BLE001
            sys.__excepthook__(type(problem), problem, problem.__traceback__)
        finally:
            os._exit(1)
    return pid
