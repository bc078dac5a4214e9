"""Time limits from the reference solutions, measured in the sandbox that grades the answers.

A fixed limit in seconds makes verdicts depend on the machine. Here each problem's reference is run
once, and an answer gets a multiple of the CPU time that its slowest test took (the idea is
EvalPlus's, arXiv 2305.01210, there with wall time). CPU time does not grow when other programs keep
the machine busy; wall time is only the backstop for code that waits.
"""

from __future__ import annotations

import hashlib
import json
import platform
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError
from recode_eval.run.store import make_folder, read_json, write_json
from recode_eval.sandbox.base import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.sandbox.base import Execution, Limits, Sandbox
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


def measure(
    task: Task,
    problems: Iterable[Problem],
    sandbox: Sandbox,
    base: Limits,
    calibration: Calibration,
) -> dict[str, float]:
    """Run every problem's reference and return the CPU limit (seconds) of its tests, by id.

    A reference that fails gives the fallback; one that the sandbox could not grade is left out.
    """
    generous = calibration.limits(base, calibration.maximum_s / calibration.factor)
    running = []
    for problem in problems:
        program = task.programs(problem, problem.solutions["reference"])[task.conditions[0]]
        running.append((problem.id, sandbox.submit(program, generous)))
    measured: dict[str, float] = {}
    for problem_id, future in running:
        try:
            execution = future.result()
        except SandboxError:
            continue
        measured[problem_id] = round(calibration.limit(slowest_test(execution)), 3)
    return measured


def slowest_test(execution: Execution) -> float | None:
    """Return the CPU seconds of the slowest test of a passing execution, else None."""
    if not execution.passed:
        return None
    seconds = [v.cpu_s for v in execution.verdicts if v.cpu_s is not None]
    return max(seconds) if seconds else None


class MeasuredLimits:
    """The limits of each problem, measured at the problem's first use; safe in threads."""

    def __init__(self, task: Task, calibration: Calibration, base: Limits) -> None:
        self._task = task
        self._calibration = calibration
        self._base = base
        self._cpu_s: dict[str, float] = {}
        self._measuring = threading.Lock()

    def measure(self, problems: Iterable[Problem], sandbox: Sandbox) -> None:
        """Run the reference of every problem that was not measured before."""
        with self._measuring:
            new = {p.id: p for p in problems if p.id not in self._cpu_s}
            self._cpu_s |= measure(self._task, new.values(), sandbox, self._base, self._calibration)

    def limits(self, problem_id: str) -> Limits:
        """Return the limits of a problem; the fallback, if it could not be measured."""
        return self._calibration.limits_of(self._base, self._cpu_s, problem_id)


class LimitBook:
    """The limits of each problem; measured once per machine and sandbox, then read from a file."""

    def __init__(
        self, folder: Path, calibration: Calibration | None, base: Limits, identity: Sequence[Any]
    ) -> None:
        """Keep the file in `folder`; `identity` is everything else that determines a measurement.

        Without a calibration every problem has the limits `base`.
        """
        key = json.dumps([asdict(calibration) if calibration else None, asdict(base), *identity])
        self._path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        self._calibration = calibration
        self._base = base
        self._cpu_s = {} if calibration is None else _read(self._path)

    def missing(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems that must be measured first."""
        if self._calibration is None:
            return []
        return [problem for problem in problems if problem.id not in self._cpu_s]

    def measure(self, task: Task, problems: Sequence[Problem], sandbox: Sandbox) -> None:
        """Measure problems and store the results; raises `StorageError`."""
        if self._calibration is None or not problems:
            return
        self._cpu_s |= measure(task, problems, sandbox, self._base, self._calibration)
        make_folder(self._path.parent)
        write_json(self._path, {"cpu_s": self._cpu_s})

    def limits(self, problem_id: str) -> Limits:
        """Return the limits of a problem; the fallback, if it could not be measured."""
        if self._calibration is None:
            return self._base
        return self._calibration.limits_of(self._base, self._cpu_s, problem_id)


def _read(path: Path) -> dict[str, float]:
    """Read a file of limits; a missing or damaged file leads to a new measurement."""
    try:
        content = read_json(path)["cpu_s"]
        return {str(key): float(value) for key, value in content.items()}
    except (DataError, KeyError, TypeError, ValueError, AttributeError):
        return {}


def machine() -> list[str]:
    """Name what a CPU time depends on besides the program."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return [platform.machine(), model]
