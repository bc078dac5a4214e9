"""One answer, one number: the reward of a text for a problem, from the tests in the sandbox.

What the machine could not grade is None and never 0: a trainer that read it as a failure would
learn from the machine's trouble.
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Self

from recode_eval.checks import of_type
from recode_eval.errors import UsageError
from recode_eval.run.calibration import Calibration, MeasuredLimits
from recode_eval.run.config import SandboxOptions
from recode_eval.run.grading import Grader
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.sandbox.base import Limits
from recode_eval.tasks.loading import LoadedTask, load_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.tasks.base import Problem


class RewardGrader:
    """Grades answers to the problems of one task; a context manager, safe in threads.

    The sandbox is opened when the first answer comes and stays open until `close`.
    """

    def __init__(self, task: str | LoadedTask, sandbox: SandboxOptions | None = None) -> None:
        """Load the task.

        Raises:
            UsageError: there is no such task, or it has no tests.
            DataError, InfrastructureError: those of `load_task`.
        """
        self._loaded = load_task(task) if isinstance(task, str) else task
        if not self._loaded.task.conditions:
            raise UsageError(
                f"The task {self._loaded.name} has no tests, so it has no reward. Compare answers "
                "with recode_eval.scoring.similarity_scores instead."
            )
        self._sandboxes = Sandboxes(sandbox or SandboxOptions())
        self._limits = MeasuredLimits(self._loaded.task, Calibration(), Limits())

    def __call__(self, problem_id: str, text: str) -> float | None:
        """Return the reward of one answer; see `rewards`."""
        return self.rewards([(problem_id, text)])[0]

    def rewards(self, answers: Sequence[tuple[str, str]]) -> list[float | None]:
        """Return the reward of each `(problem id, text)`: 1.0, 0.0 or None.

        1.0: the code in the text passes every test with the update in force. 0.0: it does not, or
        the text holds no code. None: unscored, because the sandbox could not run it or the
        problem's own set-up fails.

        Raises:
            UsageError: there is no problem of this id; the message has the nearest one.
            InfrastructureError: there is no sandbox.
        """
        asked = [self._loaded.problem(key) for key, _ in answers]
        if not asked:
            return []
        for _, text in answers:
            of_type("text", text, str, "a text")
        sandbox = self._sandboxes.opener(self._loaded.task, "program")()
        self._limits.measure(asked, sandbox)
        found: list[float | None] = [None] * len(answers)
        grader = Grader(
            self._loaded.task,
            sandbox,
            self._limits.limits,
            scoring="reward",
            on_score=lambda record: self._note(record, found),
            on_unscored=lambda _: None,
        )
        try:
            for place, (problem, (_, text)) in enumerate(zip(asked, answers, strict=True)):
                grader.submit(problem, _completion(problem, place, text))
            grader.finish()
        except BaseException:
            grader.abandon()
            raise
        return found

    def _note(self, record: ScoreRecord, found: list[float | None]) -> None:
        if record.setup_error is None:
            found[record.sample] = float(record.passed(self._loaded.task.conditions[0]))

    def close(self) -> None:
        """Close the sandbox. Idempotent."""
        self._sandboxes.close()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()


def _completion(problem: Problem, place: int, text: str) -> CompletionRecord:
    return CompletionRecord(
        problem_id=problem.id,
        sample=place,
        seed=0,
        prompt_hash="",
        text=text,
        finish_reason="stop",
    )


_open: dict[str, RewardGrader] = {}
_opening = threading.Lock()


def reward(task: str, problem_id: str, text: str) -> float | None:
    r"""Return 1.0 if the code in `text` passes the problem's tests, 0.0 if not, None if unscored.

    `text` is what a model wrote: the code is found as in an evaluation. The task's sandbox is
    opened at the first call and stays open until the process ends; for many answers at once, or
    another sandbox, use `RewardGrader`.

    Raises:
        UsageError: there is no such task or problem, or the task has no tests.
        DataError: the task's rows are malformed.
        InfrastructureError: there is no sandbox, or the rows cannot be fetched.

    >>> from recode_eval import load_task, reward
    >>> problem = load_task("arena-mini").problems[0]
    >>> reward("arena-mini", problem.id, f"```python\n{problem.solutions['reference']}\n```")
    1.0
    >>> reward("arena-mini", problem.id, "I do not know.")
    0.0
    """
    with _opening:
        if not _open:
            atexit.register(close_all)
        if task not in _open:
            _open[task] = RewardGrader(task)
        grader = _open[task]
    return grader(problem_id, text)


def close_all() -> None:
    """Close the sandboxes that `reward` opened. Idempotent."""
    with _opening:
        for grader in _open.values():
            grader.close()
        _open.clear()
