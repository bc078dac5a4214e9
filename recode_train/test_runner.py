"""Run a batch of answers in the sandbox: submit all of them, then collect the verdicts.

The limits are those of the evaluation: a multiple of the CPU time that the pair's own reference
took here, measured when the pair first comes up. A fault of the machine is never a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.errors import DataError
from recode_eval.languages import runtimes_of
from recode_eval.run.answer_runs import run_answers
from recode_eval.run.calibration import Calibration, MeasuredLimits
from recode_eval.sandbox.base import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.sandbox.base import Execution, Sandbox
    from recode_eval.tasks.base import Problem, Task


class TestRunner:
    """Tells which answers pass their tests; opens its sandbox when it is first needed.

    A training's reward needs only that. `recode_eval.RewardGrader` also extracts the code, measures
    similarity and runs every answer without the update; training extracts once for all rewards.
    """

    __test__ = False
    """Keeps pytest from collecting the class where a test imports it."""

    def __init__(self, task: Task, sandbox: Callable[[], Sandbox] | None) -> None:
        self._task = task
        self._open = sandbox or self._strongest
        self._sandbox: Sandbox | None = None
        self._limits = MeasuredLimits(Calibration(), Limits())

    def _strongest(self) -> Sandbox:
        from recode_eval.sandbox import open_router

        spec = self._task.spec
        return open_router(
            "auto",
            environment=spec.environment,
            isolation="split",
            runtimes=runtimes_of(spec.language),
        )

    def passed(self, answers: Sequence[tuple[Problem, str | None]]) -> list[bool | None]:
        """Return for each answer whether all tests pass; None where it killed two workers.

        No code is a failure. Equal answers to one problem run once.

        Raises:
            SandboxUnavailableError, SandboxClosedError: the sandbox is gone, the run must end.
            DataError: the set-up of a pair fails, whatever the answer.
        """
        programs = [(problem, code) for problem, code in answers if code is not None]
        verdicts = self._run(programs) if programs else {}
        return [
            False if code is None else verdicts.get((problem.id, code)) for problem, code in answers
        ]

    def _run(self, programs: Sequence[tuple[Problem, str]]) -> dict[tuple[str, str], bool]:
        if self._sandbox is None:
            self._sandbox = self._open()
        done = run_answers(self._task, self._sandbox, self._limits, programs)
        return {key: _verdict(key[0], made) for key, made in done.items() if made is not None}

    def close(self) -> None:
        """Close the sandbox. Idempotent."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None


def _verdict(pair_id: str, execution: Execution) -> bool:
    if execution.setup_error is not None:
        raise DataError(f"The set-up of the pair {pair_id} fails: {execution.setup_error}.")
    return execution.passed
