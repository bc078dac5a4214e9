"""One worker: a link to one supervisor, and the translation of programs and results.

A link is how bytes get in and out (pipes of a process, the attached stream of a container). What
comes back is checked: a supervisor runs beside hostile code, so nothing it says is taken on trust
beyond its meaning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from recode_eval.sandbox.base import (
    Execution,
    SandboxError,
    SandboxUnavailableError,
    Status,
    TestVerdict,
)
from recode_eval.sandbox.preload import libraries_of
from recode_eval.sandbox.runtimes import PYTHON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.sandbox.base import Limits, Program

SILENCE_S = 120.0
"""A supervisor says something every few seconds; after this long without a word it is lost."""
START_S = 120.0
PING_S = 30.0
"""How often an idle supervisor is told that the evaluator lives."""
LEASE_S = 180.0
"""A supervisor that hears nothing for so long exits: a killed daemon leaves its containers open."""
_LARGEST_ANSWER = 64 << 20
_LONGEST_AHEAD = 32 << 10
"""Half of what a pipe takes."""


class LinkLostError(SandboxError):
    """The supervisor died, hangs, or sends an invalid message; internal to the pool."""


class HopelessError(SandboxUnavailableError):
    """The sandbox cannot be started, and a retry will not help."""


class Link(Protocol):
    """A two-way byte stream to a supervisor."""

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send everything. Raises `LinkLostError`."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Return the next bytes. Raises `LinkLostError` at the end of the stream or in time."""
        ...

    def stop(self) -> str:
        """End the supervisor and remove what it used; return the end of its log. Idempotent."""
        ...


class Launcher(Protocol):
    """Starts supervisors of one tier."""

    tier: str
    guarantees: tuple[str, ...]

    def launch(self, slot: int) -> tuple[Link, dict[str, Any]]:
        """Start the supervisor of a slot; return the link and the configuration to send.

        Raises:
            SandboxUnavailableError: it cannot be started now.
            HopelessError: and not later, either.
        """
        ...

    def prepare(self, limits: Limits, link: Link) -> None:
        """Make room for a program with these limits (a container's memory, for instance)."""
        ...

    def provenance(self) -> Mapping[str, str]:
        """What to record: `image` and `image_digest`, where there is one."""
        ...

    def close(self) -> None:
        """Remove what all slots shared."""
        ...


@dataclass(frozen=True, slots=True)
class Hello:
    """A supervisor's description of itself at its start."""

    python: str
    libraries: Mapping[str, str]
    runtimes: Mapping[str, Mapping[str, Any]]
    """What runs the programs: language -> facts."""
    supervisor: str
    """The version of its own Python."""
    facts: Mapping[str, Any]


class Worker:
    """A running supervisor; not thread-safe.

    It runs one program at a time, in the order they were sent. A second one may be sent ahead: then
    it does not wait for the first one's answer to travel.
    """

    def __init__(self, launcher: Launcher, slot: int, isolation: str, report: list[str]) -> None:
        self._launcher = launcher
        self._isolation = isolation
        self._buffer = b""
        self.worn_out = ""
        """Why the supervisor asks to be replaced before the next program; empty if it does not."""
        self._link, config = launcher.launch(slot)
        try:
            self._link.write(_line({**config, "report": report, "lease_s": LEASE_S}), START_S)
            self.hello = self._greet()
        except LinkLostError as error:
            log = self._link.stop()
            raise LinkLostError(f"{error}{f' ({log})' if log else ''}") from None
        except BaseException:
            self._link.stop()
            raise

    def run(self, program: Program, limits: Limits) -> Execution:
        """Run a program. Raises `LinkLostError`; the worker is then unusable."""
        self.send(program, limits)
        return self.receive(program)

    def send(self, program: Program, limits: Limits) -> None:
        """Hand a program over. Raises `LinkLostError`."""
        self._launcher.prepare(limits, self._link)
        self._link.write(_line(_request(program, limits, self._isolation)), SILENCE_S)

    def send_ahead(self, program: Program, limits: Limits) -> bool:
        """Hand over the program after the running one; False if it is too long for that.

        A busy supervisor does not read: what does not fit into a pipe would have to wait. Limits
        must ask for no more memory than those of the running program. Raises `LinkLostError`.
        """
        line = _line(_request(program, limits, self._isolation))
        if len(line) > _LONGEST_AHEAD:
            return False
        self._link.write(line, SILENCE_S)
        return True

    def receive(self, program: Program) -> Execution:
        """Wait for the program sent first of those without an answer. Raises `LinkLostError`."""
        while True:
            answer = self._answer(SILENCE_S)
            if "beat" not in answer:
                break
        self.worn_out = str(answer.get("recycle") or "")
        try:
            return _execution(program, answer)
        except (KeyError, TypeError, ValueError) as error:
            raise LinkLostError(f"the supervisor gave an impossible answer: {error!r}") from None

    def ping(self) -> None:
        """Keep an idle supervisor. Raises `LinkLostError` if it is gone."""
        self._link.write(_line({"ping": 1}), SILENCE_S)
        if "beat" not in self._answer(SILENCE_S):
            raise LinkLostError("the supervisor gave an impossible answer")

    def stop(self) -> str:
        """End the supervisor; return the end of its log."""
        return self._link.stop()

    def _greet(self) -> Hello:
        answer = self._answer(START_S)
        if "hello" not in answer:
            raise LinkLostError("the supervisor did not introduce itself")
        known = {"hello", "python", "libraries", "runtimes", "supervisor"}
        facts = {key: value for key, value in answer.items() if key not in known}
        return Hello(
            str(answer["python"]),
            dict(answer["libraries"]),
            {str(name): dict(found) for name, found in answer["runtimes"].items()},
            str(answer["supervisor"]),
            facts,
        )

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._buffer += self._link.read(timeout_s)
            if len(self._buffer) > _LARGEST_ANSWER:
                raise LinkLostError("the supervisor's answer never ends")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise LinkLostError("the supervisor's answer is not JSON")
        if "fatal" in answer:
            raise LinkLostError(f"the supervisor gave up: {answer['fatal']}")
        return answer


def _line(message: Mapping[str, Any]) -> bytes:
    """One line of ASCII: NUL characters and lone surrogates travel as escapes."""
    return json.dumps(message).encode("ascii") + b"\n"


def _request(program: Program, limits: Limits, isolation: str) -> dict[str, Any]:
    return {
        "program": {
            "setup": program.setup,
            "candidate": program.candidate,
            "tests": [test.code for test in program.tests],
            "cpu_s": limits.cpu_s,
            "wall_s": limits.wall_s,
            "memory": limits.memory_bytes,
            "output": limits.output_bytes,
            "file_bytes": limits.file_bytes,
            "processes": limits.processes,
        },
        "language": program.language,
        "libraries": libraries_of(program) if program.language == PYTHON else [],
        "isolation": "program" if isolation == "split" and program.unsplit else isolation,
    }


def _execution(program: Program, answer: dict[str, Any]) -> Execution:
    if answer["setup_error"] is not None:
        verdicts: tuple[TestVerdict, ...] = ()
    else:
        given = answer["verdicts"]
        if given is None or len(given) != len(program.tests):
            raise LinkLostError("the program could not be graded to its end")
        lines = answer.get("lines") or [None] * len(given)
        verdicts = tuple(
            TestVerdict(
                test.name,
                Status(status),
                str(detail),
                None if cpu is None else float(cpu),
                None if line is None else int(line),
            )
            for test, (status, detail, cpu), line in zip(program.tests, given, lines, strict=True)
        )
    reason, by_tests = answer.get("unsplit") or (program.unsplit, True)
    return Execution(
        verdicts=verdicts,
        unsplit=str(reason),
        unsplit_by_answer=not by_tests,
        setup_error=answer["setup_error"],
        output=str(answer["output"]),
        cpu_s=float(answer["cpu_s"]),
        wall_s=float(answer["wall_s"]),
    )
