"""Running a batch of answers in the sandbox: all are submitted first, then the verdicts collected.

The limits are those of the evaluation: a multiple of the CPU time that the pair's own reference
took here, measured when the pair first comes up. What the machine did wrong is no verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recode_eval.errors import DataError
from recode_eval.run.calibration import Calibration, measure
from recode_eval.sandbox.base import Limits, SandboxCrashError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from recode_eval.sandbox.base import Execution as Verdicts
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem, Task

_CALIBRATION: Final = Calibration()


class Execution:
    """Says of answers whether they pass; opens its sandbox when it is first needed."""

    def __init__(self, task: Task, sandbox: Callable[[], Sandbox] | None) -> None:
        self._task = task
        self._open = sandbox or self._strongest
        self._sandbox: Sandbox | None = None
        self._cpu_s: dict[str, float] = {}

    def _strongest(self) -> Sandbox:
        from recode_eval.sandbox import open_router

        return open_router("auto", environment=self._task.spec.environment)

    def passed(self, answers: Sequence[tuple[Problem, str | None]]) -> list[bool | None]:
        """Return for each answer whether all tests pass; None where a worker died over it twice.

        No code is a failure. Equal answers to one problem run once.

        Raises:
            SandboxUnavailableError, SandboxClosedError: the sandbox is gone, the run must end.
            DataError: the set-up of a pair fails, whatever the answer.
        """
        programs = {(problem.id, code): problem for problem, code in answers if code is not None}
        verdicts = self._run(programs) if programs else {}
        return [
            False if code is None else verdicts.get((problem.id, code)) for problem, code in answers
        ]

    def _run(self, programs: Mapping[tuple[str, str], Problem]) -> dict[tuple[str, str], bool]:
        if self._sandbox is None:
            self._sandbox = self._open()
        sandbox, base = self._sandbox, Limits()
        new = {p.id: p for p in programs.values() if p.id not in self._cpu_s}
        self._cpu_s |= measure(self._task, new.values(), sandbox, base, _CALIBRATION)
        futures: dict[tuple[str, str], Future[Verdicts]] = {}
        try:
            for (pair_id, code), problem in programs.items():
                cpu_s = self._cpu_s.get(pair_id, _CALIBRATION.fallback_s)
                program = self._task.programs(problem, code)[self._task.conditions[0]]
                futures[pair_id, code] = sandbox.submit(program, _CALIBRATION.limits(base, cpu_s))
            found = {key: _verdict(key[0], future) for key, future in futures.items()}
        finally:
            for future in futures.values():
                future.cancel()
        return {key: passed for key, passed in found.items() if passed is not None}

    def close(self) -> None:
        """Close the sandbox. Idempotent."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None


def _verdict(pair_id: str, future: Future[Verdicts]) -> bool | None:
    try:
        execution = future.result()
    except SandboxCrashError:
        return None
    if execution.setup_error is not None:
        raise DataError(f"The set-up of the pair {pair_id} fails: {execution.setup_error}.")
    return execution.passed
