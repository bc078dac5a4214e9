"""One answer, one number: the reward of a text for a problem, from the tests in the sandbox.

What the machine could not grade is None and never 0: a trainer that read it as a failure would
learn from the machine's trouble.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from recode_eval.checks import of_type
from recode_eval.errors import UsageError
from recode_eval.run.calibration import Calibration, MeasuredLimits
from recode_eval.run.config import SandboxOptions, options_of
from recode_eval.run.grading import Grader
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.sandbox.base import Limits
from recode_eval.tasks.loading import LoadedTask, load_task
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from recode_eval.run.grading import Unscored
    from recode_eval.tasks.base import Problem


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """What grading says of one answer.

    >>> GradedAnswer(None, "the sandbox was lost").reward is None
    True
    """

    reward: float | None
    """1.0: passes all tests; 0.0: does not, or holds no code; None: unscored."""
    explanation: str
    """The first test that fails and how, why there is no code, or why it is unscored: one line,
    without control characters; empty for an answer that passes. Never holds a test's source."""
    code: str | None = None
    """The code that was found in the text."""


class RewardGrader:
    """Grades answers to the problems of one task; a context manager, safe in threads.

    The sandbox is opened when the first answer comes and stays open until `close`. A process that
    was forked from this one (`multiprocessing`, a loader of data) opens its own.
    """

    def __init__(self, task: str | LoadedTask, sandbox: SandboxOptions | str | None = None) -> None:
        """Load the task; `sandbox` may be the name of a tier.

        Raises:
            UsageError: there is no such task, or it has no tests; or the sandbox is no sandbox's.
            DataError, InfrastructureError: those of `load_task`.
        """
        self._options = options_of(
            SandboxOptions, "sandbox", SandboxOptions() if sandbox is None else sandbox, "tier"
        )
        self._loaded = task if isinstance(task, LoadedTask) else load_task(task)
        if not self._loaded.task.conditions:
            raise UsageError(
                f"The task {self._loaded.name} has no tests, so it has no reward. Compare answers "
                "with recode_eval.scoring.similarity_scores instead."
            )
        self._begin()

    def _begin(self) -> None:
        """Open nothing yet: the threads and locks of a sandbox are those of one process."""
        self._process = os.getpid()
        self._sandboxes = Sandboxes(self._options)
        self._limits = MeasuredLimits(Calibration(), Limits())

    def __call__(self, problem_id: str, text: str) -> float | None:
        """Return the reward of one answer; see `rewards`."""
        return self.rewards([(problem_id, text)])[0]

    def rewards(self, answers: Iterable[tuple[str, str]]) -> list[float | None]:
        """Return the reward of each `(problem id, text)`: 1.0, 0.0 or None.

        1.0: the code in the text passes every test with the update in force. 0.0: it does not, or
        the text holds no code. None: unscored, because the sandbox could not run it or the
        problem's own set-up fails.

        Raises:
            UsageError: there is no problem of this id; the message has the nearest one.
            InfrastructureError: there is no sandbox.
        """
        return [graded.reward for graded in self.grade(answers)]

    def grade(self, answers: Iterable[tuple[str, str]]) -> list[GradedAnswer]:
        """Return reward and explanation of each `(problem id, text)`; see `rewards`."""
        answers = _pairs(answers)
        asked = [self._loaded.problem(key) for key, _ in answers]
        if not asked:
            return []
        if self._process != os.getpid():
            self._begin()
        sandbox = self._sandboxes.opener(self._loaded.task, "split")()
        self._limits.measure(self._loaded.task, asked, sandbox)
        found = [GradedAnswer(None, "the run was stopped")] * len(answers)
        grader = Grader(
            self._loaded.task,
            sandbox,
            self._limits.limits,
            scoring="reward",
            unsplit=self._limits.unsplit,
            on_score=lambda record: self._note(record, found),
            on_unscored=lambda item: _note_unscored(item, found),
        )
        try:
            for place, (problem, (_, text)) in enumerate(zip(asked, answers, strict=True)):
                grader.submit(problem, _completion(problem, place, text))
            grader.finish()
        except BaseException:
            grader.abandon()
            raise
        return found

    def _note(self, record: ScoreRecord, found: list[GradedAnswer]) -> None:
        if record.setup_error is not None:
            reason = f"the problem's own set-up fails: {record.setup_error}"
            found[record.sample] = GradedAnswer(None, one_line(reason), record.code)
            return
        condition = self._loaded.task.conditions[0]
        reward = float(record.passed(condition))
        told = "" if reward else _explanation(record, condition)
        found[record.sample] = GradedAnswer(reward, told, record.code)

    def close(self) -> None:
        """Close the sandbox. Idempotent; a forked process leaves its parent's open."""
        if self._process == os.getpid():
            self._sandboxes.close()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()


def _note_unscored(item: Unscored, found: list[GradedAnswer]) -> None:
    found[item.sample] = GradedAnswer(None, one_line(item.reason))


def _explanation(record: ScoreRecord, condition: str) -> str:
    if record.code is None:
        return one_line(f"no code found: {record.extraction_detail}".rstrip(": "))
    tests = record.conditions.get(condition, {}).get("tests", [])
    failed = next((test for test in tests if test[1] != "passed"), None)
    return "there is no test" if failed is None else one_line(": ".join(filter(None, failed)))


def _pairs(answers: object) -> list[tuple[str, str]]:
    """Return the answers as a list; raises `UsageError` for what is no (problem id, text)."""
    if not isinstance(answers, Iterable) or isinstance(answers, str | bytes):
        raise UsageError(f"answers must be a list of (problem id, text), not {answers!r}.")
    pairs: list[tuple[str, str]] = []
    for answer in answers:
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise UsageError(f"An answer must be (problem id, text), not {answer!r}.")
        of_type("text", answer[1], str, "a text")
        pairs.append((answer[0], answer[1]))
    return pairs


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


def _forget() -> None:
    """Start anew in a forked process, where another thread's hold on the lock never ends."""
    global _opening
    _opening = threading.Lock()
    _open.clear()


os.register_at_fork(after_in_child=_forget)


def reward(task: str, problem_id: str, text: str) -> float | None:
    r"""Return 1.0 if the code in `text` passes the problem's tests, 0.0 if not, None if unscored.

    `text` is what a model wrote: the code is found as in an evaluation. The task's sandbox is
    opened at the first call and stays open until the process ends; a forked process opens its own.
    For many answers at once, or another sandbox, use `RewardGrader`.

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
    of_type("the task's name", task, str, "a text")
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
