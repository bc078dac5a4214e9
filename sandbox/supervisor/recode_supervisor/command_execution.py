"""One program of a language that has an executable of its own: a file, run by a command line.

The program's text is put together from a template: set-up, candidate, a line that tells that both
have run (`DEFINED`, on standard output), and the tests. After each test, the template's own code
reads one line from descriptor 3, the nonce of that test, and prints a verdict line:

    NONCE STATUS [DETAIL]          STATUS: passed, failed or memory

Lines come in the order of the tests. A test without its line has not passed, whatever the program
printed and whatever its exit status is. All other output is output. The line `DEFINED` is no
secret: to print it too early only moves the blame from the candidate to its first test.

A compiled language compiles the file first, in the same process and within limits of its own; the
compiler's word on a program that does not compile is the detail of all its tests.

What this does not prevent: candidate and tests are one process and one file. Code that knows this
protocol can read the tests in its own file and the nonces from the descriptor.
"""

from __future__ import annotations

import dataclasses
import marshal
import os
import secrets
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_program import protocol

from recode_supervisor.execution import (
    Home,
    ProgramExecution,
    ProgramRequest,
    SandboxBrokenError,
    Verdict,
    printable,
)

if TYPE_CHECKING:
    import socket

_MARSHAL = 4
_MOST_TESTS = 500
"""In one process: more nonces might not fit into a pipe. The others get another process."""
_LONGEST_LINE = 8 << 10
_STATUSES = frozenset({"passed", "failed", "memory"})


@dataclass(frozen=True)
class CommandSpec:
    """How programs of a language are written down and run; the evaluator's data."""

    argv: tuple[str, ...]
    """The command line; `{program}` is the name of the program's file. An absolute path first."""
    file: str
    """The name of the program's file in the work directory, e.g. `program.mjs`."""
    program: str
    """Its text, with `{setup}`, `{candidate}`, `{defined}` and `{tests}`."""
    test: str
    """The text of one test, with `{test}`; it must print the test's verdict line."""
    environment: dict[str, str]
    compile: tuple[str, ...]
    """The command line that makes an executable, `{output}`, of the file; empty: nothing does."""
    compile_limits: tuple[float, float, int]
    """CPU seconds, wall seconds and bytes of memory of compiling."""

    @classmethod
    def parse(cls, config: dict[str, Any]) -> CommandSpec:
        """Take over what the evaluator sent."""
        return cls(
            tuple(config["argv"]),
            config["file"],
            config["program"],
            config["test"],
            dict(config.get("environment", {})),
            tuple(config.get("compile", ())),
            tuple(config.get("compile_limits", (0.0, 0.0, 0))),
        )

    def text(self, request: ProgramRequest, indices: list[int]) -> str:
        """The program with these of its tests."""
        tests = [fill(self.test, {"test": request.tests[index]}) for index in indices]
        parts = {"setup": request.setup, "candidate": request.candidate, "defined": DEFINED}
        return fill(self.program, {**parts, "tests": "\n".join(tests)})


OUTPUT = "recode-program"
"""What a compiler makes in the work folder."""
DEFINED = "recode-eval: defined"
"""The line on standard output that says that set-up and candidate have run."""


def fill(template: str, values: dict[str, str]) -> str:
    """Put values in place of `{name}`, in one pass: braces in a value mean nothing.

    >>> fill("{a} {b} {c}", {"a": "{b}", "b": "2"})
    '{b} 2 {c}'
    """
    parts = template.split("{")
    text = parts[0]
    for part in parts[1:]:
        name, closed, rest = part.partition("}")
        text += values[name] + rest if closed and name in values else "{" + part
    return text


class CommandExecution(ProgramExecution):
    """Runs a command line, and reads verdicts from its standard output."""

    order = protocol.EXECUTE

    def __init__(
        self,
        home: Home,
        request: ProgramRequest,
        indices: list[int],
        output: int,
        spec: CommandSpec,
    ) -> None:
        super().__init__(home, request, indices[:_MOST_TESTS], output)
        self._spec = spec
        self._of_program = request
        if spec.compile:
            cpu_s, wall_s, memory = spec.compile_limits
            self._request = dataclasses.replace(request, cpu_s=cpu_s, wall_s=wall_s, memory=memory)
        self._base_memory = 0
        self._nonces = [secrets.token_hex(16) for _ in self._pending]
        self._line = b""
        self._reader = -1
        self._silent = False
        """Nobody holds the other end of its standard output any more."""

    def _payload(self) -> bytes:
        spec = self._spec
        text = spec.text(self._request, list(self._pending))
        files = [(spec.file, text.encode("utf-8", "surrogatepass"))]
        names = {"program": spec.file, "output": f"./{OUTPUT}"}
        arguments = [fill(part, names) for part in spec.argv]
        compiling = [fill(part, names) for part in spec.compile]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        nonces = "".join(f"{nonce}\n" for nonce in self._nonces).encode()
        variables = inherited | spec.environment
        extra = (compiling, OUTPUT) if compiling else ()
        return marshal.dumps((files, arguments, variables, nonces, *extra), _MARSHAL)

    def _fork(self, handles: list[int]) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        try:
            super()._fork([*handles, writer])
        finally:
            os.close(writer)

    def _listen(self, poll: select.poll) -> None:
        poll.register(self._reader, select.POLLIN)

    def _on_channel(self, channel: socket.socket, event: int) -> bool | None:
        ended = super()._on_channel(channel, event)
        if ended is not True:
            return ended
        if self._stage == b"":
            return True
        self._talking = False  # it has become the program
        return True if self._silent else None

    def _handle(self, channel: socket.socket, packet: bytes) -> bool:
        del channel
        if packet[:1] == protocol.BROKEN:
            raise SandboxBrokenError(printable(packet[1:]))
        if not self._stage and packet == protocol.CONFINED:
            self._stage = protocol.CONFINED if self._request.setup.strip() else protocol.SET_UP
            return False
        if self._request is not self._of_program and packet[:1] == protocol.COMPILED:
            self._request = self._of_program
            if packet[1:]:
                self._stop("failed", f"does not compile: {printable(packet[1:])}")
                return True
            self._new_budget()
            return False
        raise SandboxBrokenError("the program's process said something unexpected")

    def _on_output(self, poll: select.poll) -> bool | None:
        if not self._stage:  # its first packet is there as well, and comes first
            return None
        try:
            data = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return None
        if not data:
            poll.unregister(self._reader)
            self._silent = True
            return None if self._talking else True  # why it could not start may be on the channel
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if self._take(line):
                return False
        if len(self._line) > _LONGEST_LINE:
            self._print(self._line)
            self._line = b""
        return None

    def _print(self, data: bytes) -> None:
        limit = self._request.output
        self._outcome.printed = (self._outcome.printed + data)[-limit:] if limit else b""

    def _take(self, line: bytes) -> bool:
        """Take one line of output; return True if the execution is decided."""
        if self._stage != protocol.DEFINED:
            if line.rstrip(b"\r") != DEFINED.encode():
                self._print(line + b"\n")
                return False
            self._stage = protocol.DEFINED
            self._new_budget()
            return not self._pending
        nonce = self._nonces[len(self._nonces) - len(self._pending)].encode()
        given, _, said = line.partition(b" ")
        if not secrets.compare_digest(given, nonce):
            self._print(line + b"\n")
            return False
        status, _, detail = said.decode("utf-8", "backslashreplace").strip().partition(" ")
        verdict: Verdict
        used = self._family_cpu()
        if used > self._request.cpu_s:
            verdict = ("timeout", f"more than {self._request.cpu_s:g} s of CPU time", used)
        elif status in _STATUSES:
            shown = printable(detail.encode("utf-8"))[: protocol.DETAIL_BYTES]
            verdict = (status, "" if status == "passed" else shown, used)
        else:
            verdict = ("failed", "the verdict line has no known status", used)
        self._outcome.verdicts[self._pending.popleft()] = verdict
        self._new_budget()
        return not self._pending

    def _finish(self, *, ended_itself: bool) -> None:
        try:
            if self._line:
                self._print(self._line)
            super()._finish(ended_itself=ended_itself)
        finally:
            os.close(self._reader)

    def _exited(self, status: int) -> None:
        if status == 0:
            self._stop("crashed", "the process ended without a verdict")
        else:
            self._stop("failed", self._last_words() or f"the process ended with status {status}")

    def _stop_early(self, status: str, detail: str) -> None:
        self._outcome.unproven = (status, detail)
