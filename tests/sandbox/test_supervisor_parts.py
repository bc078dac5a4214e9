"""Parts of the supervisor by themselves: system-call filters, packets, wiping."""

# Descriptors, and names that are no text: nothing for pathlib.
# ruff: noqa: PTH102, PTH123

from __future__ import annotations

import ast
import contextlib
import errno
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox.local import supervisor_folder

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(supervisor_folder()))
from recode_program import linux, protocol, runner, seccomp
from recode_supervisor import execution, usage, wipe

on_known_machine = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"}, reason="no filter for this processor"
)


def in_child(program: bytes, *actions: Callable[[], object]) -> list[int]:
    """Run actions in a forked process behind a filter; 0 or the error number of each."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
            seccomp.install(program)
            for action in actions:
                try:
                    action()
                    code = 0
                except OSError as error:
                    code = error.errno
                os.write(writer, bytes([code or 255]) if code else b"\x00")
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader, "rb") as file:
        return list(file.read())


@on_known_machine
def test_zygote_filter_refuses_and_lets_through() -> None:
    import resource

    refused = (
        lambda: socket.socket(socket.AF_INET),
        lambda: socket.socket(socket.AF_UNIX),
        lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
        lambda: os.sched_setaffinity(os.getppid(), {0}),
        lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 5),
        lambda: os.setpriority(os.PRIO_USER, 0, 5),
        lambda: os.pidfd_open(os.getppid()),
        lambda: linux.syscall(272 if platform.machine() == "x86_64" else 97, 0x10000000),
    )
    allowed = (
        lambda: socket.socketpair(),
        lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
        lambda: os.waitpid(os.fork() or os._exit(0), 0),
        lambda: threading.Thread(target=int).start(),
        lambda: os.kill(os.getppid(), 0),
    )
    codes = in_child(seccomp.zygote_filter(), *refused, *allowed)
    assert codes == [errno.EPERM] * len(refused) + [0] * len(allowed)


@on_known_machine
def test_program_filter_keeps_processes_in_their_group_and_signals_in() -> None:
    """On kernels whose Landlock does not hold signals in, the filter has to."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        codes = []
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install(seccomp.program_filter(os.getpid(), guard_signals=True, guard_files=False))
        for action in (
            lambda: os.kill(os.getpid(), 0),
            lambda: os.kill(os.getppid(), 0),
            lambda: os.kill(-1, 0),
            lambda: os.setsid(),
            lambda: os.setpgid(0, 0),
        ):
            try:
                action()
                codes.append(0)
            except OSError as error:
                codes.append(error.errno or 255)
        os.write(writer, bytes(codes))
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with open(reader, "rb") as file:
        assert list(file.read()) == [0, *[errno.EPERM] * 4]


@pytest.mark.parametrize(
    "size", [0, 1, protocol.LARGEST_PACKET, protocol.LARGEST_PACKET + 1, 3 << 20]
)
def test_packets_of_any_size_arrive(size: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    payload = os.urandom(size)
    data, handle = protocol.packet(payload)
    if handle < 0:
        ours.send(data)
    else:
        protocol.send_handles(ours, data, [handle])
        os.close(handle)
    with ours, theirs:
        assert protocol.receiver(theirs)() == payload


def test_wiping_leaves_links_targets_alone_and_restores_the_mode(tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    work.mkdir(mode=0o700)
    (work / "link").symlink_to(outside)
    (work / "a" / "b").mkdir(parents=True)
    (work / "a" / "b" / "f").write_text("x")
    (work / "a" / "b").chmod(0)
    (work / ".1").mkdir()
    os.mkdir(os.fsencode(work) + b"/\xff\n")
    os.mkfifo(work / "fifo")
    work.chmod(0o500)
    assert wipe.wipe(str(work), 0o700, None)
    assert list(work.iterdir()) == []
    assert work.stat().st_mode & 0o777 == 0o700
    assert (outside / "precious").read_text() == "x"


def test_wiping_a_tree_deeper_than_any_path(tmp_path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(1500):
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(here)
        os.close(here)
    assert wipe.wipe(str(tmp_path), wipe.mode_of(str(tmp_path)), None)
    assert list(tmp_path.iterdir()) == []


def test_usage_counts_the_whole_family() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        held = bytearray(os.urandom(1) * (64 << 20))
        if os.fork() == 0:
            held = bytearray(b"x" * (64 << 20))
            os.write(writer, b"x")
        threading.Event().wait(20)
        del held
        os._exit(0)
    os.read(reader, 1)
    found = usage.look(os.getpid(), (pid,), 0)
    family = [pid, *usage.descendants(pid)]
    for one in family:
        os.kill(one, 9)
    os.waitpid(pid, 0)
    assert len(family) == 2
    assert found.memory > 128 << 20
    assert found.cpu_s > 0
    assert not found.ended
    assert usage.look(os.getpid(), (pid,), 0).ended


def look(**values: float) -> usage.TreeUsage:
    return usage.TreeUsage(**values)


def test_waiting_behind_own_processes_is_no_waiting_for_others() -> None:
    """The wall-time limit was stretched by children that kept the processor busy."""
    before = look(cpu_s=1.0, first_thread_s=1.0, queued_s=0.5)
    alone = look(cpu_s=1.1, first_thread_s=1.1, queued_s=0.9)
    assert usage.waited_for_others(before, alone) == pytest.approx(0.4)
    own = look(cpu_s=1.4, first_thread_s=1.1, queued_s=0.9)
    assert usage.waited_for_others(before, own) == pytest.approx(0.1)
    more = look(cpu_s=1.9, first_thread_s=1.1, queued_s=0.9)
    assert usage.waited_for_others(before, more) == 0
    child = look(cpu_s=1.1, first_thread_s=1.1, queued_s=0.9, others_run=True)
    assert usage.waited_for_others(before, child) == 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, for other user ids")
def test_who_kills_a_users_processes_cannot_be_stopped_by_them() -> None:
    """A daemon in a session of its own stopped the helper that was to kill it: 246 s were lost.

    Here it stops whatever it may, as fast as it can, and is dead a moment after.
    """
    uid, guard_uid = 58398, 58399
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.setresuid(uid, uid, uid)
        end = time.monotonic() + 20
        os.write(writer, b"x")
        while time.monotonic() < end:
            for number in (-1, *range(pid + 1, pid + 20)):
                with contextlib.suppress(OSError):
                    os.kill(number, signal.SIGSTOP)
        os._exit(0)
    os.read(reader, 1)
    start = time.monotonic()
    try:
        assert linux.kill_all_of(uid, guard_uid)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    finally:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    assert time.monotonic() - start < 3


def test_a_helper_that_does_not_end_is_ended() -> None:
    helper = os.fork()
    if helper == 0:
        time.sleep(60)
        os._exit(0)
    start = time.monotonic()
    assert not linux.ends_within(helper, 0.05)
    assert time.monotonic() - start < 5
    quick = os.fork()
    if quick == 0:
        os._exit(0)
    assert linux.ends_within(quick, 20)


def test_disk_usage_stops_counting_in_time(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / str(number)).write_bytes(b"x" * 4096)
    assert usage.disk_usage(str(tmp_path), 1000) == (30 * 4096, 30)
    assert usage.disk_usage(str(tmp_path), 10)[1] == 11


def test_what_runs_with_programs_needs_no_new_python() -> None:
    """Environments have Pythons that the supervisor cannot run on; the syntax must be theirs."""
    files = [*supervisor_folder().glob("recode_program/*.py"), supervisor_folder() / "spawn.py"]
    assert len(files) > 8
    for file in files:
        ast.parse(file.read_text(), str(file), feature_version=(3, 7))


def test_every_own_module_is_taken_out_of_a_programs_sight() -> None:
    files = supervisor_folder().glob("recode_program/*.py")
    names = {f"recode_program.{file.stem}" for file in files if file.stem != "__init__"}
    assert set(runner.OWN_MODULES) == {"recode_program", *names}


class LateSpeaker(execution.ProgramExecution):
    """Says its last word, and ends, between the look at its channel and the one at its process."""

    def __init__(self, said: list[bytes], theirs: socket.socket) -> None:
        self._said, self._theirs = said, theirs
        self._base_wall, self._limit_address_space, self._talking = 0.0, True, True
        self._queue: deque[bytes] = deque()
        self._usage = usage.TreeUsage()
        self.heard: list[bytes] = []

    def _payload(self) -> bytes:
        return b""

    def _handle(self, channel: socket.socket, packet: bytes) -> bool:
        self.heard.append(packet)
        return packet == b"decided"

    def _limit_hit(self) -> bool:
        for packet in self._said:
            self._theirs.send(packet)
        self._usage.ended = True
        return False

    def _accused(self, tick: object) -> bool:
        return False


@pytest.mark.parametrize(
    ("said", "ended"), [([b"a", b"decided"], False), ([b"a"], True), ([], True)]
)
def test_what_a_process_said_before_it_ended_counts(said: list[bytes], *, ended: bool) -> None:
    """On a busy machine a program that could not be split was a crash with status 0."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:  # that `theirs` stays open is what a child of the program does
        ours.setblocking(False)
        speaker = LateSpeaker(said, theirs)
        assert speaker._loop(ours, lambda: None) is ended
        assert speaker.heard == said
