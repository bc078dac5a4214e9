"""Grades answers one at a time in an open sandbox: each is a future, and all workers stay busy.

Nobody waits in a caller's thread: one thread finds the code of the answers and hands it to the
sandbox, another first measures the limits of problems that are new. Equal code for one problem runs
once as long as it waits or runs.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from recode_eval.errors import InfrastructureError
from recode_eval.run.calibration import Calibration, MeasuredLimits
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.sandbox.base import (
    Limits,
    SandboxClosedError,
    SandboxError,
    SandboxUnavailableError,
    Status,
)
from recode_eval.tasks.answers import find_code
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.run.config import SandboxOptions
    from recode_eval.sandbox.base import Execution, Sandbox
    from recode_eval.tasks.base import Problem
    from recode_eval.tasks.loading import LoadedTask

T = TypeVar("T")

_loading = threading.RLock()
"""Held by a thread that imports what grading needs: a process that is forked amid an import has
half a module, and the lock of its loader for ever."""


def _renew() -> None:
    """Make the lock anew in a forked process, whose parent holds it."""
    global _loading
    _loading = threading.RLock()


os.register_at_fork(
    before=lambda: _loading.acquire(),
    after_in_parent=lambda: _loading.release(),
    after_in_child=_renew,
)

_JOIN_S = 30.0
_REOPEN_AFTER_S = 10.0
"""A sandbox that was given up is opened anew, but not more often: its daemon may stay away."""


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


class PendingAnswer(Future[GradedAnswer]):
    """The future of one answer; cancelling it takes the answer out of the queue.

    An answer that runs already cannot be cancelled: its limits end it.
    """

    run: _Run | None = None

    def cancel(self) -> bool:
        """Return whether it will not be graded."""
        if self.run is not None and not self.run.leave(self):
            return False
        return super().cancel()

    def withdraw(self) -> None:
        """Cancel it, after its program was."""
        super().cancel()

    def settle(self, graded: GradedAnswer | BaseException) -> None:
        """Set the result, or the exception; nothing if it was cancelled."""
        with contextlib.suppress(InvalidStateError):  # cancelled in this very moment
            if not self.set_running_or_notify_cancel():
                return
            if isinstance(graded, BaseException):
                self.set_exception(graded)
            else:
                self.set_result(graded)


class _Run:
    """One execution, and the answers with its code."""

    def __init__(self, code: str, first: PendingAnswer) -> None:
        self.code = code
        self.future: Future[Execution] | None = None
        self._waiting = [first]
        self._lock = threading.Lock()
        self._closed = False
        first.run = self

    def join(self, answer: PendingAnswer) -> bool:
        """Add an answer; False: it came too late."""
        with self._lock:
            if self._closed:
                return False
            self._waiting.append(answer)
            answer.run = self
            return True

    def leave(self, answer: PendingAnswer) -> bool:
        """Take an answer away, and with the last one the program; False: it runs already."""
        with self._lock:
            if self._waiting != [answer]:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(answer)
                return not self._closed
            self._closed = True
            future = self.future
        return future is None or future.cancel()

    def end(self) -> list[PendingAnswer]:
        """Return the answers that wait; no other can join."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            return waiting


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    problem: Problem
    text: str
    """The model's; later the code in it."""
    answer: PendingAnswer


class AnswerGrader:
    """Grades answers to one task in one process; `RewardGrader` says what is promised."""

    def __init__(self, loaded: LoadedTask, options: SandboxOptions) -> None:
        """Open nothing yet: the threads and locks of a sandbox are those of one process."""
        self._task = loaded.task
        self._options = options
        self._sandboxes = Sandboxes(options)
        self._limits = MeasuredLimits(Calibration(), Limits())
        self._runs: dict[tuple[str, str], _Run] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._loaded = False
        """Whether all modules that grading needs are there."""
        self._given_up = False
        self._opened_at = 0.0
        self._refusal: tuple[float, InfrastructureError] | None = None
        self._submitting = _Line("reward-submit", self._submit_all)
        self._measuring = _Line("reward-measure", self._measure_all)

    def submit(self, problem: Problem, text: str) -> PendingAnswer:
        """Queue an answer; raises nothing and does not wait."""
        answer = PendingAnswer()
        self._submitting.put(_Asked(problem, text, answer))
        return answer

    def sandbox(self) -> Sandbox:
        """Return the sandbox; opens it if need be, and anew where it was given up.

        Raises `InfrastructureError` where there is none. It is looked for once in a while, and not
        for each answer: that takes seconds.
        """
        with self._lock:
            if self._refusal is not None and time.monotonic() < self._refusal[0] + _REOPEN_AFTER_S:
                raise self._refusal[1]
            again = self._given_up and time.monotonic() > self._opened_at + _REOPEN_AFTER_S
            if again:
                self._given_up = False
                gone, self._sandboxes = self._sandboxes, Sandboxes(self._options)
                threading.Thread(target=gone.close, name="reward-close", daemon=True).start()
            opening = self._sandboxes.opener(self._task, "split")
            if again or not self._opened_at:
                self._opened_at = time.monotonic()
        try:
            with self._amid_imports():
                found = opening()
        except InfrastructureError as error:
            self._refusal = time.monotonic(), error
            raise
        self._loaded = True
        return found

    def _amid_imports(self) -> contextlib.AbstractContextManager[object]:
        """Return what keeps other threads from forking while modules may be half loaded."""
        return contextlib.nullcontext() if self._loaded else _loading

    def close(self) -> None:
        """Close the sandbox; what waits becomes unscored. Idempotent."""
        self._closed = True
        self._sandboxes.close()
        self._submitting.stop()
        self._measuring.stop()
        self._sandboxes.close()  # one that was being opened

    def _submit_all(self, asked: Sequence[_Asked]) -> None:
        for one in asked:
            try:
                found = self._find(one)
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                one.answer.settle(error)
                continue
            if found is None:
                continue
            if self._closed or not self._limits.missing([one.problem]):
                self._start(found)
            else:
                self._measuring.put(found)

    def _find(self, one: _Asked) -> _Asked | None:
        """Return the answer with its code; None where it is settled without."""
        if one.answer.cancelled():
            return None
        with self._amid_imports():
            found = find_code(self._task, one.problem, one.text)
        if found.code is None:
            told = one_line(f"no code found: {found.detail}".rstrip(": "))
            one.answer.settle(GradedAnswer(0.0, told))
            return None
        return replace(one, text=found.code)

    def _measure_all(self, asked: Sequence[_Asked]) -> None:
        wanted = [one for one in asked if not one.answer.cancelled()]
        failure: GradedAnswer | BaseException | None = None
        try:
            sandbox = self.sandbox()
            try:
                problems = {one.problem.id: one.problem for one in wanted}
                self._limits.measure(self._task, problems.values(), sandbox)
            except SandboxError as error:
                failure = _unscored(error)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failure = error
        for one in wanted:
            if failure is None:
                self._start(one)
            else:
                one.answer.settle(failure)

    def _start(self, one: _Asked) -> None:
        try:
            if self._closed:
                one.answer.settle(_unscored(SandboxClosedError("the grader was closed")))
            elif not one.answer.cancelled():
                self._run(one)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            one.answer.settle(error)

    def _run(self, one: _Asked) -> None:
        problem, code = one.problem, one.text
        key = problem.id, code
        with self._lock:
            running = self._runs.get(key)
            if running is not None and running.join(one.answer):
                return
            run = self._runs[key] = _Run(code, one.answer)
        try:
            sandbox = self.sandbox()
            program = self._task.programs(problem, code)[self._task.conditions[0]]
            program = replace(program, unsplit=self._limits.unsplit(problem.id))
            try:
                future = sandbox.submit(program, self._limits.limits(problem.id))
            except SandboxError as error:
                self._end(key, run, _unscored(error))
                return
        except BaseException as error:  # noqa: BLE001 - others may have joined
            self._end(key, run, error)
            return
        run.future = future
        if one.answer.cancelled():  # before there was a future to cancel
            run.leave(one.answer)
        future.add_done_callback(lambda done: self._executed(key, run, done))

    def _executed(self, key: tuple[str, str], run: _Run, done: Future[Execution]) -> None:
        if done.cancelled():
            self._forget(key, run)
            for answer in run.end():
                answer.withdraw()
        elif (error := done.exception()) is None:
            self._end(key, run, _graded(done.result(), run.code))
        elif isinstance(error, SandboxError):
            if isinstance(error, SandboxUnavailableError):
                self._given_up = True
            self._end(key, run, _unscored(error))
        else:
            self._end(key, run, error)

    def _end(self, key: tuple[str, str], run: _Run, graded: GradedAnswer | BaseException) -> None:
        self._forget(key, run)
        for answer in run.end():
            answer.settle(graded)

    def _forget(self, key: tuple[str, str], run: _Run) -> None:
        with self._lock:
            if self._runs.get(key) is run:
                del self._runs[key]


def _unscored(error: BaseException) -> GradedAnswer:
    return GradedAnswer(None, one_line(error))


def _graded(execution: Execution, code: str) -> GradedAnswer:
    if execution.setup_error is not None:
        reason = f"the problem's own set-up fails: {execution.setup_error}"
        return GradedAnswer(None, one_line(reason), code)
    if execution.passed:
        return GradedAnswer(1.0, "", code)
    failed = next((v for v in execution.verdicts if v.status is not Status.PASSED), None)
    if failed is None:
        return GradedAnswer(0.0, "there is no test", code)
    told = (failed.name, str(failed.status), failed.detail)
    return GradedAnswer(0.0, one_line(": ".join(filter(None, told))), code)


class _Line(Generic[T]):
    """A thread, started when it is needed, that handles what was put, all that waits at once."""

    def __init__(self, name: str, handle: Callable[[Sequence[T]], None]) -> None:
        self._name = name
        self._handle = handle
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        self._items.put(item)

    def stop(self) -> None:
        """Handle what waits, then end; a later `put` starts anew."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            self._items.put(None)
            thread.join(_JOIN_S)

    def _work(self) -> None:
        ended = False
        while not ended:
            items = [self._items.get()]
            with contextlib.suppress(queue.Empty):
                while items[-1] is not None:
                    items.append(self._items.get_nowait())
            ended = items[-1] is None
            if todo := [item for item in items if item is not None]:
                self._handle(todo)
