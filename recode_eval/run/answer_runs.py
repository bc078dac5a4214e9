"""Run a batch of answers in an open sandbox: submit all of them, then collect what came of each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import SandboxCrashError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from recode_eval.run.calibration import MeasuredLimits
    from recode_eval.sandbox.base import Execution, Sandbox
    from recode_eval.tasks.base import Problem, Task


def run_answers(
    task: Task, sandbox: Sandbox, limits: MeasuredLimits, answers: Sequence[tuple[Problem, str]]
) -> dict[tuple[str, str], Execution | None]:
    """Run the code of each answer with all tests of its problem, and with the update in force.

    Returns the execution by problem id and code, so that equal answers run once; None for one that
    lost its workers. The problems' limits are measured first.

    Raises:
        SandboxError: the sandbox is gone.
    """
    wanted = {(problem.id, code): problem for problem, code in answers}
    if not wanted:
        return {}
    limits.measure(task, wanted.values(), sandbox)
    futures: dict[tuple[str, str], Future[Execution]] = {}
    try:
        for (key, code), problem in wanted.items():
            program = task.programs(problem, code)[task.conditions[0]]
            program = replace(program, unsplit=limits.unsplit(key))
            futures[key, code] = sandbox.submit(program, limits.limits(key))
        return {key: _execution(future) for key, future in futures.items()}
    finally:
        for future in futures.values():
            future.cancel()


def _execution(future: Future[Execution]) -> Execution | None:
    try:
        return future.result()
    except SandboxCrashError:
        return None
