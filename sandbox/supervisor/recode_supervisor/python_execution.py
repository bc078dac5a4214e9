"""One Python program, forked from a process that has its libraries loaded.

A test has passed only if its packet came, in order, with the nonce that was handed out for it.
Everything else (no packet, a malformed one, the end of the process, a limit) is a failure of the
test in hand.
"""

from __future__ import annotations

import marshal
import secrets
from typing import TYPE_CHECKING, ClassVar

from recode_program import linux, protocol

from recode_supervisor.execution import (
    STATUS,
    Home,
    ProgramExecution,
    ProgramRequest,
    SandboxBrokenError,
    printable,
)
from recode_supervisor.usage import children

if TYPE_CHECKING:
    import socket

_LINE_DIGITS = 6
_MARSHAL = 4
"""The version of the format that every Python since 3.4 reads."""


class PythonExecution(ProgramExecution):
    """Talks with `recode_program.runner`."""

    letters: ClassVar[dict[bytes, str]] = STATUS
    """What the process may say of a test."""

    def __init__(
        self, home: Home, request: ProgramRequest, indices: list[int], output: int
    ) -> None:
        super().__init__(home, request, indices, output)
        self._nonces: dict[int, bytes] = {}

    def _payload(self) -> bytes:
        return marshal.dumps((self._request.setup, self._request.candidate), _MARSHAL)

    def _handle(self, channel: socket.socket, packet: bytes) -> bool:
        """Take one packet; return True if the execution is decided."""
        kind = packet[:1]
        if self._stage == b"" and kind == protocol.BROKEN:
            raise SandboxBrokenError(printable(packet[1:]))
        if self._stage == protocol.CONFINED and kind == protocol.SETUP_FAILED:
            self._outcome.setup_error = printable(packet[1:])
            return True
        if self._stage == protocol.SET_UP and kind == protocol.CANDIDATE_FAILED:
            self._all(self.letters.get(packet[1:2], "failed"), printable(packet[2:]))
            return True
        following = {
            b"": protocol.CONFINED,
            protocol.CONFINED: protocol.SET_UP,
            protocol.SET_UP: protocol.DEFINED,
        }
        if self._stage != protocol.DEFINED:
            if packet != following[self._stage]:
                return self._forged()
            self._stage = packet
            if packet == protocol.DEFINED:
                self._new_budget()
                self._credited = self._base_cpu
                self._send_tests(channel)
            return packet == protocol.DEFINED and not self._pending
        return self._take_verdict(packet)

    def _send_tests(self, channel: socket.socket) -> None:
        for index in self._pending:
            self._nonces[index] = secrets.token_bytes(protocol.NONCE_BYTES)
            self._push(channel, marshal.dumps(self._request.tests[index], _MARSHAL))
            self._push(channel, self._nonces[index])

    def _take_verdict(self, packet: bytes) -> bool:
        if len(packet) < protocol.VERDICT.size:
            return self._forged()
        nonce, letter, cpu_s = protocol.VERDICT.unpack_from(packet)
        index = self._pending[0]
        if not secrets.compare_digest(nonce, self._nonces[index]):
            return self._forged()
        if letter not in self.letters:
            return self._other(letter, packet[protocol.VERDICT.size :])
        cpu_s = self._believed(cpu_s)
        said, _, place = packet[protocol.VERDICT.size :].partition(b"\n")
        status, detail = self.letters[letter], printable(said)
        if letter != protocol.PASSED and place.isdigit() and len(place) <= _LINE_DIGITS:
            self._outcome.lines[index] = int(place)
        if max(cpu_s, self._family_cpu()) > self._request.cpu_s:
            # It ended before the next look at it. How soon that comes must not decide.
            status, detail = "timeout", f"more than {self._request.cpu_s:g} s of CPU time"
            self._outcome.lines.pop(index, None)
        self._outcome.verdicts[index] = (status, detail, cpu_s)
        self._pending.popleft()
        self._new_budget()
        return not self._pending

    def _believed(self, cpu_s: float) -> float:
        """What the process says about its time, as far as it can be true."""
        most = max(0.0, linux.cpu_time(self._pid) - self._credited)
        cpu_s = cpu_s if 0 <= cpu_s <= most else most
        self._credited += cpu_s
        return cpu_s

    def _other(self, letter: bytes, detail: bytes) -> bool:
        """Take what is no verdict."""
        del letter, detail
        return self._forged()

    def _forged(self) -> bool:
        self._all("failed", "the program wrote to the sandbox's own channel")
        return True


class SplitExecution(PythonExecution):
    """Talks with `recode_program.grader`: the tests in a trusted process, the candidate in another.

    What the process of the tests says is true, also about times and ends of the candidate's.
    """

    order = protocol.SPLIT
    letters: ClassVar[dict[bytes, str]] = {
        **STATUS,
        protocol.TIMED_OUT: "timeout",
        protocol.CRASHED: "crashed",
    }
    _partner = 0
    """The process of the candidate, once it is defined."""

    def _processes(self) -> int:
        return self._request.processes + 1

    def _leaders(self) -> tuple[int, ...]:
        if self._partner == 0 and self._stage == protocol.DEFINED:
            self._partner = next(iter(children(self._pid)), 0)
        return (self._pid, self._partner) if self._partner else (self._pid,)

    def _believed(self, cpu_s: float) -> float:
        return cpu_s

    def _take_verdict(self, packet: bytes) -> bool:
        ended = packet[protocol.NONCE_BYTES : protocol.NONCE_BYTES + 1] == protocol.CRASHED
        decided = super()._take_verdict(packet)
        # Without its candidate this process is of no more use: the other tests need new ones.
        return decided or ended

    def _other(self, letter: bytes, detail: bytes) -> bool:
        if letter != protocol.UNSPLIT:
            return self._forged()
        self._outcome.unsplit = (printable(detail[1:]), detail[:1] == b"T")
        return True
