"""What the reference solutions tell of a problem, in the sandbox that grades the answers.

A fixed limit in seconds makes verdicts depend on the machine. Here each problem's reference is run
once, and an answer gets a multiple of the CPU time that its slowest test took (the idea is
EvalPlus's, arXiv 2305.01210, there with wall time). CPU time does not grow when other programs keep
the machine busy; wall time is only the backstop for code that waits.

With the isolation `split`, the reference also tells whether the problem's tests can run in another
process than an answer: some share more with it than values, a library's context for instance.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError
from recode_eval.sandbox.base import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.sandbox.base import Execution, Limits, Program, Sandbox
    from recode_eval.tasks.base import Problem, Task


@dataclass(frozen=True, slots=True)
class Calibration:
    """How limits follow from a measurement; times are CPU seconds of one test."""

    factor: float = 4.0
    minimum_s: float = 4.0
    """No limit is below this: an honest answer may be slower than a reference of a millisecond."""
    maximum_s: float = 60.0
    fallback_s: float = 15.0
    """For a problem whose reference does not pass here (15 s is the public code's limit)."""
    wall_factor: float = 10.0
    """Wall time per CPU time that is allowed: a busy machine must not decide."""

    def limit(self, measured_s: float | None) -> float:
        """Return the CPU limit of one test for a reference that took `measured_s`."""
        if measured_s is None:
            return self.fallback_s
        return min(self.maximum_s, max(self.minimum_s, self.factor * measured_s))

    def limits(self, base: Limits, cpu_s: float) -> Limits:
        """Return `base` with the times that belong to a CPU limit."""
        return replace(base, cpu_s=cpu_s, wall_s=self.wall_factor * cpu_s)

    def limits_of(self, base: Limits, measured: Mapping[str, float], problem_id: str) -> Limits:
        """Return the limits of a problem; the fallback, if it could not be measured."""
        return self.limits(base, measured.get(problem_id, self.fallback_s))


ONLY_IN_ONE_PROCESS = "the reference solution passes in one process with the tests only"


@dataclass(frozen=True, slots=True)
class Measured:
    """What running the references has shown, by the problem's id."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    """The CPU limit (seconds) of each test."""
    unsplit: dict[str, str] = field(default_factory=dict)
    """Why tests cannot run in another process than an answer; empty: they can."""

    def update(self, more: Measured) -> None:
        """Add what was measured later."""
        self.cpu_s.update(more.cpu_s)
        self.unsplit.update(more.unsplit)


def measure(
    task: Task,
    problems: Iterable[Problem],
    sandbox: Sandbox,
    base: Limits,
    calibration: Calibration | None,
) -> Measured:
    """Run every problem's reference and return what that shows.

    A reference that fails gives the fallback of the calibration (without one: no limits); one that
    the sandbox could not grade is left out.
    """
    generous = base
    if calibration is not None:
        generous = calibration.limits(base, calibration.maximum_s / calibration.factor)
    split = sandbox.info.isolation == "split"
    programs = {
        problem.id: task.programs(problem, problem.solutions["reference"])[task.conditions[0]]
        for problem in problems
    }
    found = _run(sandbox, programs, generous)
    measured = Measured()
    if split:
        again = {
            key: replace(programs[key], unsplit=ONLY_IN_ONE_PROCESS)
            for key, execution in found.items()
            if not (execution.passed or execution.unsplit or execution.setup_error)
        }
        passing = {k: e for k, e in _run(sandbox, again, generous).items() if e.passed}
        found |= passing
        measured.unsplit.update({key: execution.unsplit for key, execution in found.items()})
    if calibration is not None:
        measured.cpu_s.update(
            {k: round(calibration.limit(slowest_test(e)), 3) for k, e in found.items()}
        )
    return measured


def _run(sandbox: Sandbox, programs: Mapping[str, Program], limits: Limits) -> dict[str, Execution]:
    """Run programs side by side; those that the sandbox could not grade are left out."""
    running = [(key, sandbox.submit(program, limits)) for key, program in programs.items()]
    found: dict[str, Execution] = {}
    for key, future in running:
        with contextlib.suppress(SandboxError):
            found[key] = future.result()
    return found


def slowest_test(execution: Execution) -> float | None:
    """Return the CPU seconds of the slowest test of a passing execution, else None."""
    if not execution.passed:
        return None
    seconds = [v.cpu_s for v in execution.verdicts if v.cpu_s is not None]
    return max(seconds) if seconds else None


class MeasuredLimits:
    """What is known of each problem, measured at the problem's first use; safe in threads.

    Without a calibration every problem has the limits `base`, and a reference is run only if
    `split`: if answers run in processes of their own, without their tests.
    """

    def __init__(
        self, calibration: Calibration | None, base: Limits, *, split: bool = True
    ) -> None:
        self._calibration = calibration
        self._base = base
        self._needed = split or calibration is not None
        self._measured = Measured()
        self._measuring = threading.Lock()

    def missing(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems that must be measured first, each once."""
        if not self._needed:
            return []
        known = self._measured.unsplit if self._calibration is None else self._measured.cpu_s
        return list({p.id: p for p in problems if p.id not in known}.values())

    def measure(self, task: Task, problems: Iterable[Problem], sandbox: Sandbox) -> None:
        """Run the reference of every problem that was not measured before."""
        with self._measuring:
            if new := self.missing(problems):
                found = measure(task, new, sandbox, self._base, self._calibration)
                self._measured.update(found)
                self._keep()

    def _keep(self) -> None:
        """Store what is known now, where it is to outlast the process."""

    def limits(self, problem_id: str) -> Limits:
        """Return the limits of a problem; the fallback, if it could not be measured."""
        if self._calibration is None:
            return self._base
        return self._calibration.limits_of(self._base, self._measured.cpu_s, problem_id)

    def unsplit(self, problem_id: str) -> str:
        """Return why the problem's tests cannot be split off; empty if they can."""
        return self._measured.unsplit.get(problem_id, "")


class LimitBook(MeasuredLimits):
    """What is known of each problem; measured once per machine and sandbox, then read from a file.

    `folder` has the file, and `identity` is everything else that determines a measurement.
    """

    def __init__(
        self,
        folder: Path,
        calibration: Calibration | None,
        base: Limits,
        identity: Sequence[Any],
        *,
        split: bool,
    ) -> None:
        super().__init__(calibration, base, split=split)
        key = json.dumps([asdict(calibration) if calibration else None, asdict(base), *identity])
        self._path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        if self._needed:
            self._measured = _read(self._path)

    def _keep(self) -> None:
        """Write the file; raises `StorageError`."""
        from recode_eval.run.store import make_folder, write_json

        make_folder(self._path.parent)
        write_json(self._path, asdict(self._measured))


def _read(path: Path) -> Measured:
    """Read a file of measurements; a missing or damaged file leads to a new one."""
    from recode_eval.run.store import read_json

    try:
        content = read_json(path)
        return Measured(
            {str(key): float(value) for key, value in content["cpu_s"].items()},
            {str(key): str(value) for key, value in content["unsplit"].items()},
        )
    except (DataError, KeyError, TypeError, ValueError, AttributeError):
        return Measured()


def machine() -> list[str]:
    """Name what a CPU time depends on besides the program."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return [platform.machine(), model]
