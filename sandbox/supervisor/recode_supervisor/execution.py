"""One program in one process: starts it, watches it, and decides how its tests ended.

The supervisor owns the verdicts. What all languages have in common is here: limits, the disk, the
end of the process. How a program reports is a subclass's matter (`PythonExecution`,
`CommandExecution`). Whatever does not report is a failure of the test in hand.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recode_program import linux, protocol

from recode_supervisor.usage import TreeUsage, look, waited_for_others

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_supervisor.disk import Disk
    from recode_supervisor.zygote_pool import Zygote

_FIRST_LOOK_S = 0.1
_LOOK_EVERY_S = 0.25
_LAST_WORDS_S = 0.1
"""How long to read what a process said before it ended; its children may go on for ever."""
_LOOK_FOR_MEMORY_S = 0.05
"""How often memory is looked at where the kernel does not limit it."""
_PROCESSORS = len(os.sched_getaffinity(0))
_HARD_WALL_FACTOR = 20
"""Waiting for a processor is no wall time, but nothing runs longer than this many limits."""
STATUS = {protocol.PASSED: "passed", protocol.FAILED: "failed", protocol.OUT_OF_MEMORY: "memory"}
Verdict = tuple[str, str, float | None]


@dataclass(frozen=True)
class ProgramRequest:
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
    language: str = "python"


@dataclass
class ExecutionOutcome:
    """What one process showed. Tests without an entry were not reached and need another one."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    """The line of a test at which it failed, as the program's process says: a hint."""
    setup_error: str | None = None
    unproven: tuple[str, str] | None = None
    """Status and detail of an end that came before the tests: of set-up or candidate, it is not
    clear which."""
    hopeless: bool = False
    """The candidate itself failed: another process would only fail again."""
    accused: bool = False
    """Ended because the disk ran full, but by whom is not clear yet; see `convict`."""
    unsplit: tuple[str, bool] | None = None
    """Why tests and candidate cannot run in processes of their own, and whether the tests are the
    reason (rather than what the candidate gave them)."""
    clean: bool = True
    cpu_s: float = 0.0
    printed: bytes = b""
    """What it printed beside the file for its output."""


@dataclass(frozen=True)
class Home:
    """Where a program runs."""

    zygote: Zygote
    disk: Disk
    users: tuple[int | None, int | None]
    """The user id that programs alone have, if any, and the one of helpers that act as it."""
    limit_address_space: bool = True
    """The kernel limits memory as address space; else what is resident is watched closely."""


class SandboxBrokenError(Exception):
    """The machinery failed, not the program: nothing can be said about the program."""


class ProgramExecution(ABC):
    """Runs the tests `indices` of a request in one fork of a zygote."""

    order = protocol.RUN

    def __init__(
        self, home: Home, request: ProgramRequest, indices: list[int], output: int
    ) -> None:
        self._zygote = home.zygote
        self._disk = home.disk
        self._users = home.users
        self._limit_address_space = home.limit_address_space
        self._request = request
        self._pending = deque(indices)
        self._output = output
        self._outcome = ExecutionOutcome()
        self._stage = b""
        """The last of `CONFINED`, `SET_UP` and `DEFINED` that was reached."""
        self._base_memory = home.zygote.base_memory
        self._queue: deque[bytes] = deque()
        self._talking = True
        """Whether the process still has its end of the channel."""
        self._usage = TreeUsage()
        self._base_cpu = self._base_wall = self._credited = 0.0
        self._waited = 0.0
        """Seconds of this budget in which the program waited for the processes of others."""
        self._pid = 0

    def run(self, tick: Callable[[], None]) -> ExecutionOutcome:
        """Run to the end; `tick` is called now and then (heartbeat, end of the evaluator)."""
        self._disk.new_execution()
        with self._start() as channel:
            self._base_wall = time.monotonic()
            ended_itself = self._loop(channel, tick)
        self._finish(ended_itself=ended_itself)
        return self._outcome

    def _start(self) -> socket.socket:
        """Start the process; return the supervisor's end of its channel, which never blocks."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._fork([theirs.fileno(), self._output])
        ours.setblocking(False)
        self._push(ours, self._payload())
        return ours

    @abstractmethod
    def _payload(self) -> bytes:
        """The first packet to the program's process."""

    @abstractmethod
    def _handle(self, channel: socket.socket, packet: bytes) -> bool:
        """Take one packet of the process; return True if the execution is decided."""

    def _fork(self, handles: list[int]) -> None:
        request = self._request
        # A backstop for the case that nobody watches any more; the supervisor kills before it.
        total_cpu = (len(self._pending) + 1) * request.cpu_s + 2
        memory = request.memory if self._limit_address_space else 0
        order = protocol.FORK.pack(
            self.order, total_cpu, memory, request.file_bytes, self._processes()
        )
        self._pid = self._zygote.fork(order, handles)

    def _processes(self) -> int:
        return self._request.processes

    def _push(self, channel: socket.socket, payload: bytes | None) -> None:
        """Send a packet, or queue it; `None` sends what is queued."""
        if payload is not None:
            self._queue.append(payload)
        while self._queue:
            data, handle = protocol.packet(self._queue[0])
            try:
                if handle < 0:
                    channel.send(data)
                else:
                    protocol.send_handles(channel, data, [handle])
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
        """Handle packets until all is decided; return whether the process ended itself."""
        poll = select.poll()
        next_look = self._base_wall + (
            _FIRST_LOOK_S if self._limit_address_space else _LOOK_FOR_MEMORY_S
        )
        every = _LOOK_EVERY_S if self._limit_address_space else _LOOK_FOR_MEMORY_S
        self._listen(poll)
        over = 0.0
        while True:
            if self._talking:
                poll.register(channel, select.POLLIN | (select.POLLOUT if self._queue else 0))
            wait = 0 if over else max(1, int((next_look - time.monotonic()) * 1000))
            events = poll.poll(wait)
            if over and (not events or time.monotonic() > over):
                return True
            for handle, event in events:
                if handle == channel.fileno():
                    ended = self._on_channel(channel, event)
                    if not self._talking:
                        poll.unregister(channel)
                else:
                    ended = self._on_output(poll)
                if ended is not None:
                    return ended
            if not over and time.monotonic() >= next_look:
                tick()
                if self._limit_hit() or self._accused(tick):
                    return False
                if self._usage.ended:  # what it said last may have come since
                    over = time.monotonic() + _LAST_WORDS_S
                next_look = time.monotonic() + every

    def _listen(self, poll: select.poll) -> None:  # noqa: B027 - nothing else, usually
        """Add what else than the channel the program can be heard through."""

    def _on_output(self, poll: select.poll) -> bool | None:
        """Take what came through it; see `_on_channel`."""
        raise NotImplementedError

    def _on_channel(self, channel: socket.socket, event: int) -> bool | None:
        """True: the process ended by itself. False: all is decided. None: it goes on."""
        if event & select.POLLOUT:
            self._push(channel, None)
        if not event & ~select.POLLOUT:
            return None
        try:
            packet = channel.recv(protocol.DETAIL_BYTES + 200)
        except (BlockingIOError, ConnectionResetError):
            # A reset says that the program died without reading everything. The packets
            # it sent before are still there, and after them comes the end.
            return None
        if packet == b"":
            return True
        return False if self._handle(channel, packet) else None

    def _all(self, status: str, detail: str) -> None:
        for index in self._pending:
            self._outcome.verdicts[index] = (status, detail, None)
        self._outcome.hopeless = True
        self._pending.clear()

    def _new_budget(self) -> None:
        self._base_cpu = max(self._leaders_cpu(), self._usage.cpu_s)
        self._base_wall = time.monotonic()
        self._waited = 0.0

    def _leaders(self) -> tuple[int, ...]:
        """The process that runs tests and candidate; or both, where there are two."""
        return (self._pid,)

    def _leaders_cpu(self) -> float:
        return sum(map(linux.cpu_time, self._leaders()))

    def _look(self) -> TreeUsage:
        before = self._usage
        self._usage = look(self._zygote.pid, self._leaders(), self._base_memory)
        self._waited += waited_for_others(before, self._usage)
        return self._usage

    def _family_cpu(self) -> float:
        """CPU seconds of the test that has just ended, children and dead threads included.

        Only the first process is looked at where all processors together could not have used up
        what matters: that is free, and most tests take milliseconds.
        """
        used = self._leaders_cpu()
        if (time.monotonic() - self._base_wall) * _PROCESSORS > self._request.cpu_s / 4:
            used = max(used, self._look().cpu_s)
        return max(0.0, used - self._base_cpu)

    def _limit_hit(self) -> bool:
        request = self._request
        usage = self._look()
        wall = time.monotonic() - self._base_wall
        if usage.cpu_s - self._base_cpu > request.cpu_s:
            self._stop("timeout", f"more than {request.cpu_s:g} s of CPU time")
        elif wall - self._waited > request.wall_s or wall > request.wall_s * _HARD_WALL_FACTOR:
            self._stop("timeout", f"more than {request.wall_s:g} s")
        elif usage.memory + self._disk.shared_memory() > request.memory:
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
        uid, guard_uid = self._users
        if uid is not None:
            linux.kill_all_of(uid, guard_uid, number)

    def _stop(self, status: str, detail: str) -> None:
        """The test in hand (or the candidate, or the set-up) ends with this status."""
        if self._stage == protocol.DEFINED:
            used = max(self._leaders_cpu(), self._usage.cpu_s) - self._base_cpu
            self._outcome.verdicts[self._pending.popleft()] = (status, detail, max(0.0, used))
        elif self._stage == protocol.SET_UP:
            self._all(status, detail)
        elif self._stage == protocol.CONFINED:
            self._stop_early(status, detail)
        else:
            raise SandboxBrokenError(f"the program did not start: {detail}")

    def _stop_early(self, status: str, detail: str) -> None:
        """It ended before the set-up had been seen to work."""
        self._outcome.setup_error = f"{status}: {detail}"

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
            self._exited(report.status)

    def _last_words(self) -> str:
        """The last line that the program wrote to standard error."""
        lines = [line for line in last_bytes(self._output, 4096).splitlines() if line.strip()]
        return printable(lines[-1].strip())[:300] if lines else ""

    def _exited(self, status: int) -> None:
        """The process ended by itself, with an exit status, before all was decided."""
        self._stop("crashed", f"the process ended with status {status}")


def last_bytes(handle: int, most: int) -> bytes:
    """The end of a file, at most so many bytes of it."""
    size = os.fstat(handle).st_size
    return os.pread(handle, most, max(0, size - most))


def printable(data: bytes) -> str:
    """Whatever came in a detail: one line of printable ASCII."""
    text = data.decode("ascii", "backslashreplace")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text)
