"""One forked program: feeds it, watches it, and decides what its silence or its packets mean.

The supervisor owns the verdicts. A test has passed only if its packet came, in order, with the
nonce that was handed out for it. Everything else (no packet, a malformed one, the end of the
process, a limit) is a failure of the test in hand.
"""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import secrets
import select
import signal
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recode_supervisor import watch, wire, zygote

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_supervisor.colony import Zygote
    from recode_supervisor.disk import Disk

_FIRST_LOOK_S = 0.1
_LOOK_EVERY_S = 0.25
_HARD_WALL_FACTOR = 20
"""Waiting for a processor is no wall time, but nothing runs longer than this many limits."""
_STATUS = {wire.PASSED: "passed", wire.FAILED: "failed", wire.OUT_OF_MEMORY: "memory"}
Verdict = tuple[str, str, float | None]


@dataclass(frozen=True)
class Request:
    """One program and its limits, as the evaluator sent it."""

    setup: str
    candidate: str
    tests: list[str]
    cpu_s: float
    wall_s: float
    memory: int
    output: int
    file_bytes: int
    processes: int


@dataclass
class Outcome:
    """What one fork showed. Tests without an entry were not reached and need another fork."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    setup_error: str | None = None
    hopeless: bool = False
    """The candidate itself failed: another fork would only fail again."""
    accused: bool = False
    """Ended because the disk ran full, but by whom is not clear yet; see `Attempt.convict`."""
    clean: bool = True
    cpu_s: float = 0.0


@dataclass(frozen=True)
class Home:
    """Where a program runs."""

    zygote: Zygote
    disk: Disk
    uid: int | None
    """The user id that programs alone have, if any."""


class SandboxBrokenError(Exception):
    """The machinery failed, not the program: nothing can be said about the program."""


class Attempt:
    """Runs the tests `indices` of a request in one fork of a zygote."""

    def __init__(self, home: Home, request: Request, indices: list[int], output: int) -> None:
        self._zygote = home.zygote
        self._disk = home.disk
        self._uid = home.uid
        self._request = request
        self._pending = deque(indices)
        self._output = output
        self._outcome = Outcome()
        self._stage = b""
        self._nonces: dict[int, bytes] = {}
        self._queue: deque[bytes] = deque()
        self._usage = watch.Usage()
        self._base_cpu = self._base_wall = self._base_queued = self._credited = 0.0
        self._pid = 0

    def run(self, tick: Callable[[], None]) -> Outcome:
        """Run to the end; `tick` is called now and then (heartbeat, end of the evaluator)."""
        self._disk.new_attempt()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                self._fork(theirs)
            ours.setblocking(False)
            self._push(ours, marshal.dumps((self._request.setup, self._request.candidate)))
            self._base_wall = time.monotonic()
            ended_itself = self._loop(ours, tick)
        self._finish(ended_itself=ended_itself)
        return self._outcome

    def _fork(self, theirs: socket.socket) -> None:
        request = self._request
        # A backstop for the case that nobody watches any more; the supervisor kills before it.
        total_cpu = (len(self._pending) + 1) * request.cpu_s + 2
        order = wire.FORK.pack(
            b"F", total_cpu, request.memory, request.file_bytes, request.processes
        )
        self._pid = self._zygote.fork(order, theirs.fileno(), self._output)

    def _push(self, channel: socket.socket, payload: bytes | None) -> None:
        """Send a packet, or queue it; `None` sends what is queued."""
        if payload is not None:
            self._queue.append(payload)
        while self._queue:
            data, handle = wire.packet(self._queue[0])
            try:
                if handle < 0:
                    channel.send(data)
                else:
                    socket.send_fds(channel, [data], [handle])
            except BlockingIOError:
                return
            except OSError as problem:  # the program is gone; the loop will see it
                if problem.errno not in {errno.EPIPE, errno.ECONNRESET}:
                    raise
                self._queue.clear()
                return
            finally:
                if handle >= 0:
                    os.close(handle)
            self._queue.popleft()

    def _loop(self, channel: socket.socket, tick: Callable[[], None]) -> bool:
        """Handle packets until the attempt is decided; return whether the process ended itself."""
        poll = select.poll()
        next_look = self._base_wall + _FIRST_LOOK_S
        while True:
            poll.register(channel, select.POLLIN | (select.POLLOUT if self._queue else 0))
            events = poll.poll(max(1, int((next_look - time.monotonic()) * 1000)))
            if events and events[0][1] & select.POLLOUT:
                self._push(channel, None)
            if events and events[0][1] & ~select.POLLOUT:
                try:
                    packet = channel.recv(wire.DETAIL_BYTES + 200)
                except (BlockingIOError, ConnectionResetError):
                    # A reset says that the program died without reading everything. The packets
                    # it sent before are still there, and after them comes the end.
                    packet = None
                if packet == b"":
                    return True
                if packet is not None and self._handle(channel, packet):
                    return False
            if time.monotonic() >= next_look:
                tick()
                if self._limit_hit() or self._accused(tick):
                    return False
                if self._usage.ended:
                    return True
                next_look = time.monotonic() + _LOOK_EVERY_S

    def _handle(self, channel: socket.socket, packet: bytes) -> bool:
        """Take one packet; return True if the attempt is decided."""
        kind = packet[:1]
        if self._stage == b"" and kind == wire.BROKEN:
            raise SandboxBrokenError(_line(packet[1:]))
        if self._stage == wire.CONFINED and kind == wire.SETUP_FAILED:
            self._outcome.setup_error = _line(packet[1:])
            return True
        if self._stage == wire.SET_UP and kind == wire.CANDIDATE_FAILED:
            self._all(_STATUS.get(packet[1:2], "failed"), _line(packet[2:]))
            return True
        following = {b"": wire.CONFINED, wire.CONFINED: wire.SET_UP, wire.SET_UP: wire.DEFINED}
        if self._stage != wire.DEFINED:
            if packet != following[self._stage]:
                return self._forged()
            self._stage = packet
            if packet == wire.DEFINED:
                self._new_budget()
                self._credited = self._base_cpu
                self._send_tests(channel)
            return packet == wire.DEFINED and not self._pending
        return self._take_verdict(packet)

    def _send_tests(self, channel: socket.socket) -> None:
        for index in self._pending:
            self._nonces[index] = secrets.token_bytes(wire.NONCE_BYTES)
            self._push(channel, marshal.dumps(self._request.tests[index]))
            self._push(channel, self._nonces[index])

    def _take_verdict(self, packet: bytes) -> bool:
        if len(packet) < wire.VERDICT.size:
            return self._forged()
        nonce, letter, cpu_s = wire.VERDICT.unpack_from(packet)
        index = self._pending[0]
        if not secrets.compare_digest(nonce, self._nonces[index]) or letter not in _STATUS:
            return self._forged()
        # What the process says about its time is believed as far as it can be true.
        most = max(0.0, watch.cpu_time(self._pid) - self._credited)
        cpu_s = cpu_s if 0 <= cpu_s <= most else most
        self._credited += cpu_s
        status, detail = _STATUS[letter], _line(packet[wire.VERDICT.size :])
        if cpu_s > self._request.cpu_s:
            # It ended before the next look at it. How soon that comes must not decide.
            status, detail = "timeout", f"more than {self._request.cpu_s:g} s of CPU time"
        self._outcome.verdicts[index] = (status, detail, cpu_s)
        self._pending.popleft()
        self._new_budget()
        return not self._pending

    def _forged(self) -> bool:
        self._all("failed", "the program wrote to the sandbox's own channel")
        return True

    def _all(self, status: str, detail: str) -> None:
        for index in self._pending:
            self._outcome.verdicts[index] = (status, detail, None)
        self._outcome.hopeless = True
        self._pending.clear()

    def _new_budget(self) -> None:
        self._base_cpu = max(watch.cpu_time(self._pid), self._usage.cpu_s)
        self._base_wall = time.monotonic()
        self._base_queued = self._usage.queued_s

    def _limit_hit(self) -> bool:
        request = self._request
        usage = self._usage = watch.look(self._zygote.pid, self._pid, self._zygote.base_memory)
        wall = time.monotonic() - self._base_wall
        waited = usage.queued_s - self._base_queued
        if usage.cpu_s - self._base_cpu > request.cpu_s:
            self._stop("timeout", f"more than {request.cpu_s:g} s of CPU time")
        elif wall - waited > request.wall_s or wall > request.wall_s * _HARD_WALL_FACTOR:
            self._stop("timeout", f"more than {request.wall_s:g} s")
        elif usage.memory > request.memory:
            self._stop("memory", f"more than {request.memory >> 20} MiB of memory")
        elif self._disk.full():
            self.convict()
        else:
            return False
        return True

    def convict(self) -> None:
        """The test in hand has failed: the program held too much on the disk."""
        self._stop("failed", "more files or more on disk than allowed")

    def _accused(self, tick: Callable[[], None]) -> bool:
        """True if the disk ran full and the program has to die so that it shows who filled it."""
        if not self._disk.suspicious():
            return False
        start = time.monotonic()
        self._signal_all(signal.SIGSTOP)  # it must not write on while others are looked at
        self._outcome.accused = self._disk.investigate(tick)
        if not self._outcome.accused:
            self._signal_all(signal.SIGCONT)
            self._base_wall += time.monotonic() - start
        return self._outcome.accused

    def _signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)
        if self._uid is not None:
            zygote.kill_all_of(self._uid, number)

    def _stop(self, status: str, detail: str) -> None:
        """The test in hand (or the candidate, or the set-up) ends with this status."""
        if self._stage == wire.DEFINED:
            used = max(watch.cpu_time(self._pid), self._usage.cpu_s) - self._base_cpu
            self._outcome.verdicts[self._pending.popleft()] = (status, detail, max(0.0, used))
        elif self._stage == wire.SET_UP:
            self._all(status, detail)
        elif self._stage == wire.CONFINED:
            self._outcome.setup_error = f"{status}: {detail}"
        else:
            raise SandboxBrokenError(f"the program did not start: {detail}")

    def _finish(self, *, ended_itself: bool) -> None:
        report = self._zygote.end(wait=ended_itself)
        self._outcome.cpu_s = report.cpu_s
        self._outcome.clean = report.clean
        if not ended_itself:
            return
        if report.signal == signal.SIGXCPU or (
            report.signal == signal.SIGKILL and report.cpu_s > self._request.cpu_s
        ):
            self._stop("timeout", f"more than {self._request.cpu_s:g} s of CPU time")
        elif report.signal == signal.SIGKILL and (
            report.out_of_memory or report.peak > self._request.memory // 2
        ):
            self._stop("memory", "killed by the kernel for lack of memory")
        elif report.signal:
            name = signal.Signals(report.signal).name if report.signal < 32 else report.signal
            self._stop("crashed", f"the process was killed by {name}")
        else:
            self._stop("crashed", f"the process ended with status {report.status}")


def _line(data: bytes) -> str:
    """Whatever came in a detail: one line of printable ASCII."""
    text = data.decode("ascii", "backslashreplace")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text)
