"""One answer, one number: the reward of a text for a problem, from the tests in the sandbox.

What the machine could not grade is None and never 0: a trainer that read it as a failure would
learn from the machine's trouble.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from recode_eval.checks import of_type
from recode_eval.errors import UsageError
from recode_eval.forking import RenewedLock
from recode_eval.run.answering import AnswerGrader, GradedAnswer
from recode_eval.run.config import SandboxOptions, options_of
from recode_eval.sandbox.factory import check_tier
from recode_eval.tasks.loading import LoadedTask, load_task

if TYPE_CHECKING:
    from concurrent.futures import Future

    from recode_eval.sandbox.base import SandboxInfo

__all__ = [
    "GradedAnswer",
    "RewardGrader",
    "Rewarding",
    "areward",
    "close_all",
    "reward",
    "standing_grader",
]


class Rewarding:
    """How answers are graded, one, many, or without waiting: on top of `submit`."""

    def submit(self, problem_id: str, text: str) -> Future[GradedAnswer]:
        """Queue one answer and return its future, which can be cancelled while it waits.

        The future raises `InfrastructureError` where there is no sandbox.

        Raises:
            UsageError: there is no problem of this id; the message has the nearest one.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close what was opened. Idempotent."""

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

    async def arewards(self, answers: Iterable[tuple[str, str]]) -> list[float | None]:
        """Return the same, without blocking the event loop; see `rewards`."""
        return [graded.reward for graded in await self.agrade(answers)]

    def grade(self, answers: Iterable[tuple[str, str]]) -> list[GradedAnswer]:
        """Return reward and explanation of each `(problem id, text)`; see `rewards`."""
        futures = self._submit_each(pairs_of(answers))
        try:
            return [future.result() for future in futures]
        except BaseException:
            _withdraw(futures)
            raise

    async def agrade(self, answers: Iterable[tuple[str, str]]) -> list[GradedAnswer]:
        """Return the same, without blocking the event loop; see `rewards`.

        Cancelling the task takes answers that wait out of the queue.
        """
        futures = self._submit_each(pairs_of(answers))
        try:
            return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))
        except BaseException:
            _withdraw(futures)
            raise

    def _submit_each(self, pairs: list[tuple[str, str]]) -> list[Future[GradedAnswer]]:
        futures: list[Future[GradedAnswer]] = []
        try:
            for pair in pairs:
                futures.append(self.submit(*pair))
        except BaseException:
            _withdraw(futures)
            raise
        return futures

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()


class RewardGrader(Rewarding):
    """Grades answers to the problems of one task; a context manager, safe in threads.

    The sandbox is opened when the first answer comes and stays open until `close`. A batch, or
    many calls at once, keep all its workers busy. A process that was forked from this one
    (`multiprocessing`, a loader of data) opens its own; for one sandbox that all processes of a
    machine share, see `RewardClient`.
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
        # Now, and not when the first answer comes: by then a trainer has loaded its model.
        check_tier(self._options.tier, allow_unsafe=self._options.allow_unsafe)
        self._loaded = task if isinstance(task, LoadedTask) else load_task(task)
        if not self._loaded.task.conditions:
            raise UsageError(
                f"The task {self._loaded.name} has no tests, so it has no reward. Compare answers "
                "with recode_eval.scoring.similarity_scores instead."
            )
        self.problems = {problem.id: problem for problem in self._loaded.problems}
        """By their ids."""
        self._begin()
        _graders.add(self)

    @property
    def task(self) -> LoadedTask:
        """The task and its rows."""
        return self._loaded

    def _begin(self) -> None:
        """Begin with no sandbox, at first and in a forked process: no thread survives a fork."""
        self._answers = AnswerGrader(self._loaded, self._options)

    def open(self) -> SandboxInfo:
        """Open the sandbox now, and say what it is; raises `InfrastructureError`."""
        return self._answers.sandbox().info

    def submit(self, problem_id: str, text: str) -> Future[GradedAnswer]:
        """Queue one answer and return its future, which can be cancelled while it waits.

        The future raises `InfrastructureError` where there is no sandbox.

        Raises:
            UsageError: there is no problem of this id; the message has the nearest one.
        """
        of_type("text", text, str, "a text")
        known = isinstance(problem_id, str) and problem_id in self.problems
        problem = self.problems[problem_id] if known else self._loaded.problem(problem_id)
        return self._answers.submit(problem, text)

    def close(self) -> None:
        """Close the sandbox. Idempotent; a forked process leaves its parent's open."""
        closing = self._answers
        self._begin()
        closing.close()


_graders: weakref.WeakSet[RewardGrader] = weakref.WeakSet()


def _withdraw(futures: Iterable[Future[GradedAnswer]]) -> None:
    for future in futures:
        future.cancel()


def pairs_of(answers: object) -> list[tuple[str, str]]:
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


_open: dict[tuple[str, SandboxOptions], RewardGrader] = {}
_opening = RenewedLock()


def _forget() -> None:
    """Start anew in a forked process, which has no thread of a sandbox."""
    _open.clear()
    for grader in list(_graders):
        grader._begin()


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
    return standing_grader(task)(problem_id, text)


async def areward(task: str, problem_id: str, text: str) -> float | None:
    r"""Return the same as `reward` does, without blocking the event loop.

    Calls at once (`asyncio.gather`) keep all workers of the sandbox busy.

    >>> import asyncio
    >>> from recode_eval import areward, load_task
    >>> asyncio.run(areward("arena-mini", load_task("arena-mini").problems[0].id, "No idea."))
    0.0
    """
    grader = await asyncio.to_thread(standing_grader, task)
    return (await grader.arewards([(problem_id, text)]))[0]


def standing_grader(task: str, sandbox: SandboxOptions | str | None = None) -> RewardGrader:
    """Return the grader of a task that stays open until the process ends; see `RewardGrader`."""
    of_type("the task's name", task, str, "a text")
    options = options_of(
        SandboxOptions, "sandbox", SandboxOptions() if sandbox is None else sandbox, "tier"
    )
    with _opening.now:
        if not _open:
            atexit.register(close_all)
        if (task, options) not in _open:
            _open[task, options] = RewardGrader(task, options)
        return _open[task, options]


def close_all() -> None:
    """Close the sandboxes that `reward` opened. Idempotent."""
    with _opening.now:
        for grader in _open.values():
            grader.close()
        _open.clear()
