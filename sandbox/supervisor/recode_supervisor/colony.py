"""The zygotes of one supervisor: one per set of libraries, started on demand by the nursery.

The nursery is forked before the first program arrives, and zygotes are forked from it: whatever
the supervisor has in memory later (tests, other programs) is in no zygote and so in no program.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from recode_supervisor import linux, watch, zygote

if TYPE_CHECKING:
    from collections.abc import Callable

_START_S = 300.0
_MOST_ZYGOTES = 8


class LostError(Exception):
    """A zygote or the nursery is gone: the supervisor cannot go on."""


@dataclass(frozen=True)
class Report:
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
        self._oom_kills = watch.oom_kills()
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

    def fork(self, order: bytes, channel: int, output: int) -> int:
        """Fork a program; return its pid."""
        try:
            socket.send_fds(self._control, [order], [channel, output])
        except OSError as problem:
            raise LostError("a zygote died") from problem
        return int(struct.unpack("=i", self._receive())[0])

    def end(self, *, wait: bool) -> Report:
        """Kill the program and everything it left; with `wait` let it finish dying by itself."""
        try:
            self._control.send(b"W" if wait else b"K")
        except OSError as problem:
            raise LostError("a zygote died") from problem
        status, number, cpu_s, peak, clean = zygote.REPORT.unpack(self._receive())
        out_of_memory = False
        if number == signal.SIGKILL:
            before, self._oom_kills = self._oom_kills, watch.oom_kills()
            out_of_memory = self._oom_kills > before
        return Report(status, number, cpu_s, peak, clean, out_of_memory)

    def close(self) -> None:
        """Hang up: the zygote ends what it runs, then itself."""
        self._control.close()

    def _receive(self) -> bytes:
        try:
            data = self._control.recv(4096)
        except OSError as problem:
            raise LostError("a zygote died") from problem
        if not data:
            raise LostError("a zygote died")
        return data


class Colony:
    """Hands out zygotes by library set; keeps the most recently used ones."""

    def __init__(self, settings: zygote.Settings) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._nursery_pid = os.fork()
        if self._nursery_pid == 0:
            try:
                ours.close()
                _nurse(theirs, settings)
            finally:
                os._exit(1)
        theirs.close()
        self._nursery = ours
        self._started = 0
        self._zygotes: OrderedDict[tuple[str, ...], Zygote] = OrderedDict()

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
                socket.send_fds(
                    self._nursery, [",".join(libraries).encode() or b"-"], [theirs.fileno()]
                )
            except OSError as problem:
                raise LostError("the nursery died") from problem
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
        self._nursery.close()


def _nurse(requests: socket.socket, settings: zygote.Settings) -> NoReturn:
    """The nursery's loop: fork a zygote per request, until the supervisor hangs up."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if settings.own_users:  # what mounted the private disk is for the supervisor alone
        linux.set_capabilities(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    while True:
        names, handles, _, _ = socket.recv_fds(requests, 4096, 1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not names:
            os._exit(0)
        libraries = () if names == b"-" else tuple(names.decode().split(","))
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, handles[0])
        if zygote.start(libraries, settings, control, requests) == 0:
            os._exit(1)
        control.close()
