# No pathlib in here, it would cost start-up time.
# ruff: noqa: PTH100, PTH120
"""The zygotes of one runtime: one per set of libraries, forked on demand by its spawner.

The spawner is a process of its own executable: whatever the supervisor has in memory (tests, other
programs) is in no zygote and so in no program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import socket
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_program import linux, protocol

from recode_supervisor import usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_program.confine import Settings

_SPAWNER = f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/spawn.py"
_START_S = 300.0
_ANSWER_S = 60.0
"""A zygote gives up cleaning after 10 s; whoever is not answered by then never is."""
_MOST_ZYGOTES = 8


class LostError(Exception):
    """A zygote or a spawner is gone: the supervisor cannot go on."""


@dataclass(frozen=True)
class EndReport:
    """How a program ended."""

    status: int
    signal: int
    cpu_s: float
    peak: int
    clean: bool
    out_of_memory: bool


class Zygote:
    """The supervisor's handle on one zygote."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._oom_kills = usage.oom_kills()
        self.pid = 0
        self.base_memory = 0
        self.loaded: list[str] = []

    def wait_until_ready(self, tick: Callable[[], None]) -> None:
        """Wait for the libraries to be loaded."""
        deadline = time.monotonic() + _START_S
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while not poll.poll(250):
            tick()
            if time.monotonic() > deadline:
                raise LostError(f"a zygote did not start within {_START_S:g} s")
        words = self._receive().decode().split(" ")
        self.pid, self.base_memory = int(words[0]), int(words[1])
        self.loaded = [name for name in words[3].split(",") if name]

    def fork(self, order: bytes, handles: list[int]) -> int:
        """Fork a program, which gets the descriptors; return its pid."""
        try:
            protocol.send_handles(self._control, order, handles)
        except OSError as problem:
            raise LostError("a zygote died") from problem
        return int(struct.unpack("=i", self._receive())[0])

    def end(self, *, wait: bool) -> EndReport:
        """Kill the program and everything it left; with `wait` let it finish dying by itself."""
        try:
            self._control.send(b"W" if wait else b"K")
        except OSError as problem:
            raise LostError("a zygote died") from problem
        status, number, cpu_s, peak, clean = protocol.REPORT.unpack(self._receive())
        out_of_memory = False
        if number == signal.SIGKILL:
            before, self._oom_kills = self._oom_kills, usage.oom_kills()
            out_of_memory = self._oom_kills > before
        return EndReport(status, number, cpu_s, peak, clean, out_of_memory)

    def close(self) -> None:
        """Hang up: the zygote ends what it runs, then itself."""
        self._control.close()

    def _receive(self) -> bytes:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(_ANSWER_S * 1000):
            raise LostError(f"a zygote did not answer within {_ANSWER_S:g} s")
        try:
            data = self._control.recv(4096)
        except OSError as problem:
            raise LostError("a zygote died") from problem
        if not data:
            raise LostError("a zygote died")
        return data


class ZygotePool:
    """Hands out zygotes by library set; keeps the most recently used ones.

    They are forked by a spawner, which this starts: a process under the programs' interpreter.
    """

    def __init__(self, command: list[str], libraries: list[str], *, own_users: bool) -> None:
        """`command` starts the interpreter; versions of `libraries` are among its `facts`.

        Raises:
            LostError: it cannot be started.
        """
        self._spawner = _start_spawner([*command, _SPAWNER], own_users=own_users)
        with contextlib.suppress(OSError):
            self._spawner.send(json.dumps(libraries).encode())
        poll = select.poll()
        poll.register(self._spawner, select.POLLIN)
        data = self._spawner.recv(1 << 20) if poll.poll(_START_S * 1000) else b""
        if not data:
            raise LostError(f"the interpreter {command[0]} did not start")
        self.facts: dict[str, Any] = json.loads(data)
        self._started = 0
        self._zygotes: OrderedDict[tuple[str, ...], Zygote] = OrderedDict()

    def configure(self, settings: Settings, ruleset: int) -> None:
        """Hand over how programs are confined; once, before the first zygote."""
        values = dataclasses.asdict(settings)
        with contextlib.suppress(OSError):  # a dead spawner shows with the first zygote
            protocol.send_handles(
                self._spawner, json.dumps(values).encode(), [ruleset] if ruleset >= 0 else []
            )
        if ruleset >= 0:
            os.close(ruleset)

    def zygote_for(self, libraries: tuple[str, ...], tick: Callable[[], None]) -> Zygote:
        """Return the zygote of a library set, started if need be."""
        known = self._zygotes.get(libraries)
        if known is not None:
            self._zygotes.move_to_end(libraries)
            return known
        while len(self._zygotes) >= _MOST_ZYGOTES:
            self._zygotes.popitem(last=False)[1].close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                names = ",".join(libraries).encode() or b"-"
                protocol.send_handles(self._spawner, names, [theirs.fileno()])
            except OSError as problem:
                raise LostError("the spawner died") from problem
        new = Zygote(ours)
        new.wait_until_ready(tick)
        self._zygotes[libraries] = new
        self._started += 1
        return new

    def __len__(self) -> int:
        """How many zygotes were ever started."""
        return self._started

    def close(self) -> None:
        """Hang up on all of them."""
        for one in self._zygotes.values():
            one.close()
        self._spawner.close()


def _start_spawner(command: list[str], *, own_users: bool) -> socket.socket:
    """Start the spawner, with nothing but a socket to this process; return that socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        try:
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
            if own_users:  # what mounted the private disk is for the supervisor alone
                linux.set_capabilities(0)
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)  # it may have been 3 already
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(2, 1)
            os.closerange(4, 4096)
            os.execv(command[0], command)  # noqa: S606 - no shell is wanted
        except OSError as problem:
            os.write(2, f"{command[0]}: {problem.strerror}\n".encode("utf-8", "replace"))
        finally:
            os._exit(1)
    theirs.close()
    return ours
