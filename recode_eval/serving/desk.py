"""Takes answers into the graders of a server: a bounded queue, times, hang-ups and the end.

Knows nothing of HTTP. What cannot be taken is a `Refusal`, with the status that says so; what was
taken and could not be graded is an unscored answer.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from recode_eval.errors import RecodeError, UsageError
from recode_eval.run.answering import GradedAnswer
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from concurrent.futures import Future

    from recode_eval.run.reward import RewardGrader
    from recode_eval.serving.limits import ServerLimits

_RECENT = 256
"""Answers from whose ends the rate is estimated."""
_LONGEST_RETRY_S = 30


@dataclass
class Refusal(Exception):  # noqa: N818 - it is an answer to a request
    """Why nothing of a request was graded: what, why, and what helps."""

    status: int
    code: str
    message: str
    retry_after_s: int | None = None

    def __str__(self) -> str:
        return self.message


class Asked(NamedTuple):
    """One answer to grade."""

    task: str | None
    """None: the only task of the server."""
    problem_id: str
    text: str


class Watcher(Protocol):
    """Who is told what happens; called from any thread."""

    def graded(self, task: str, graded: GradedAnswer, seconds: float) -> None:
        """An answer got its verdict, or stays without; `seconds` since it came."""

    def refused(self, code: str) -> None:
        """A request was refused."""


class Desk:
    """Grades for many clients with the graders of one server."""

    def __init__(
        self, graders: Mapping[str, RewardGrader], limits: ServerLimits, watcher: Watcher
    ) -> None:
        self.graders = graders
        self.limits = limits
        self.watcher = watcher
        self._taken = 0
        self._lock = threading.Lock()
        self._ends: deque[float] = deque(maxlen=_RECENT)
        self.ending = asyncio.Event()
        """Set when the server takes nothing new."""
        self._over = asyncio.Event()

    @property
    def taken(self) -> int:
        """Answers that wait or run."""
        return self._taken

    @property
    def leaving(self) -> bool:
        """Whether the server ends, and takes nothing new."""
        return self.ending.is_set()

    def leave(self) -> None:
        """Take nothing new; what was taken goes on."""
        self.ending.set()

    def give_up(self) -> None:
        """Refuse what still waits: the time to end is over."""
        self.ending.set()
        self._over.set()

    def grader(self, task: str | None) -> tuple[str, RewardGrader]:
        """Return a task's name and grader; raises `Refusal` (404) for a task that is not served."""
        if task is None and len(self.graders) == 1:
            return next(iter(self.graders.items()))
        if task is None or task not in self.graders:
            told = "The request names no task" if task is None else f"Unknown task {task!r}"
            served = ", ".join(self.graders)
            raise Refusal(404, "unknown_task", one_line(f"{told}. This server has: {served}."))
        return task, self.graders[task]

    def check(self, task: str, problem_id: str) -> None:
        """Raise `Refusal` (404) for a problem that a task does not have."""
        grader = self.graders[task]
        if problem_id not in grader.problems:
            try:
                grader.task.problem(problem_id)
            except UsageError as error:
                raise Refusal(404, "unknown_problem", one_line(error)) from None

    async def grade(
        self,
        asked: Sequence[Asked],
        gone: Callable[[], Awaitable[object]],
        longest_s: float | None = None,
    ) -> list[GradedAnswer]:
        """Grade answers; what `gone` returns ends when nobody waits for them any more.

        Raises `Refusal`: the server ends (503), there is no such task or problem (404), the queue
        is full (429), nobody waits (499), or `longest_s` have passed (408).
        """
        found = [(*self.grader(one.task), one) for one in asked]
        for task, _, one in found:
            self.check(task, one.problem_id)
        self._take(len(asked))
        futures = self._submit(found)
        waiting = [asyncio.wrap_future(future) for future in futures]
        limit = min(longest_s or math.inf, self.limits.answer_s)
        try:
            reason = await self._wait(waiting, gone(), limit)
        finally:
            for future in futures:
                future.cancel()
        if reason == "gone":
            raise Refusal(499, "hung_up", "The client hung up.")
        if reason == "over":
            raise Refusal(503, "ending", "The server ends. Send the answers again to the next one.")
        if reason == "late" and longest_s is not None and limit < self.limits.answer_s:
            told = f"No verdict within the {limit:g} s that the request gives. Give it more."
            raise Refusal(408, "too_late", told)
        late = GradedAnswer(
            None,
            f"no verdict within {limit:g} s, because the queue is long: give the "
            "server more workers, or more time for an answer",
        )
        return [_result(one) or late for one in waiting]

    async def _wait(
        self, waiting: Sequence[asyncio.Future[GradedAnswer]], gone: Awaitable[object], limit: float
    ) -> str:
        """Wait for the answers; return what ended it: `done`, `gone`, `over` or `late`."""
        work = asyncio.gather(*waiting, return_exceptions=True)
        left, over = asyncio.ensure_future(gone), asyncio.create_task(self._over.wait())
        try:
            ends: set[asyncio.Future[Any]] = {work, left, over}
            await asyncio.wait(ends, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return "done"
            return "gone" if left.done() else "over" if over.done() else "late"
        finally:
            for one in (left, over):
                one.cancel()
            if not work.done():
                work.cancel()

    def _take(self, count: int) -> None:
        with self._lock:
            if self.leaving:
                raise Refusal(503, "ending", "The server ends. Send the answers to the next one.")
            if self._taken + count > self.limits.queue:
                wait = self._wait_s(self._taken + count - self.limits.queue)
                raise Refusal(
                    429,
                    "queue_full",
                    f"{self._taken} answers wait or run, and {self.limits.queue} are the most. "
                    f"Send these {count} again in {wait} s.",
                    wait,
                )
            self._taken += count

    def _wait_s(self, count: int) -> int:
        """Return in how many seconds so many answers will have ended, at the rate of late."""
        rate = 1.0
        if len(self._ends) > 1:
            rate = (len(self._ends) - 1) / max(1e-3, time.monotonic() - self._ends[0])
        return max(1, min(_LONGEST_RETRY_S, math.ceil(count / rate)))

    def _submit(
        self, found: Sequence[tuple[str, RewardGrader, Asked]]
    ) -> list[Future[GradedAnswer]]:
        futures: list[Future[GradedAnswer]] = []
        began = time.monotonic()
        try:
            for task, grader, one in found:
                future = grader.submit(one.problem_id, one.text)
                futures.append(future)
                future.add_done_callback(functools.partial(self._ended, task, began))
        except BaseException:
            with self._lock:
                self._taken -= len(found) - len(futures)
            for future in futures:
                future.cancel()
            raise
        return futures

    def _ended(self, task: str, began: float, done: Future[GradedAnswer]) -> None:
        now = time.monotonic()
        with self._lock:
            self._taken -= 1
            if not done.cancelled():
                self._ends.append(now)
        if not done.cancelled():
            error = done.exception()
            graded = done.result() if error is None else GradedAnswer(None, one_line(error))
            self.watcher.graded(task, graded, now - began)


def _result(waited: asyncio.Future[GradedAnswer]) -> GradedAnswer | None:
    """Return what came of an answer, None if nothing did; raises what is a fault of the program."""
    if not waited.done() or waited.cancelled():
        return None
    error = waited.exception()
    if error is None:
        return waited.result()
    if isinstance(error, RecodeError):  # no sandbox, or rows that cannot be had
        return GradedAnswer(None, one_line(error))
    raise error
