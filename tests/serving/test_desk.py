"""The desk of a reward server: a bounded queue, hang-ups, times, the end."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.run.answering import GradedAnswer
from recode_eval.serving.desk import Asked, Desk, Refusal
from recode_eval.serving.limits import ServerLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PASSED = GradedAnswer(1.0, "")


class HeldGrader:
    """Follows `RewardGrader`; a test ends the answers."""

    def __init__(self, *problems: str) -> None:
        self.problems = dict.fromkeys(problems)
        self.futures: list[Future[GradedAnswer]] = []
        self.task = SimpleNamespace(problem=self._missing)

    def _missing(self, key: str) -> None:
        raise UsageError(f"Unknown problem {key!r}. Known: p.")

    def submit(self, problem_id: str, text: str) -> Future[GradedAnswer]:
        del problem_id, text
        self.futures.append(Future())
        return self.futures[-1]


class Notes:
    """Follows `Watcher`."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, float | None]] = []

    def graded(self, task: str, graded: GradedAnswer, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append((task, graded.reward))

    def refused(self, code: str) -> None:
        raise AssertionError(code)


def make(**limits: Any) -> tuple[Desk, HeldGrader, Notes]:
    grader, notes = HeldGrader("p"), Notes()
    desk = Desk({"t": grader}, ServerLimits(batch=64, **limits), notes)  # type: ignore[dict-item]
    return desk, grader, notes


async def never() -> None:
    await asyncio.Event().wait()


async def started(desk: Desk, count: int, gone: Callable[[], Awaitable[object]] = never) -> Any:
    task = asyncio.ensure_future(desk.grade([Asked(None, "p", "x")] * count, gone))
    await asyncio.sleep(0)
    return task


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_full_queue_refuses_whole_requests_and_says_when_to_come_again() -> None:
    async def main() -> None:
        desk, grader, notes = make(queue=64)
        first = await started(desk, 60)
        with pytest.raises(Refusal, match="60 answers wait or run") as refused:
            await desk.grade([Asked("t", "p", "x")] * 5, never)
        assert (refused.value.status, refused.value.code) == (429, "queue_full")
        assert 1 <= (refused.value.retry_after_s or 0) <= 30
        assert len(grader.futures) == 60
        second = await started(desk, 4)
        assert desk.taken == 64
        for future in grader.futures:
            future.set_result(PASSED)
        assert await first == [PASSED] * 60
        assert len(await second) == 4
        assert desk.taken == 0
        assert notes.outcomes == [("t", 1.0)] * 64

    run(main)


def test_a_client_that_hangs_up_frees_what_waits_and_keeps_what_runs() -> None:
    async def main() -> None:
        desk, grader, _ = make()
        left = asyncio.Event()
        task = await started(desk, 3, left.wait)
        assert grader.futures[0].set_running_or_notify_cancel()
        left.set()
        with pytest.raises(Refusal, match="hung up"):
            await task
        assert [future.cancelled() for future in grader.futures] == [False, True, True]
        assert desk.taken == 1
        grader.futures[0].set_result(PASSED)
        assert desk.taken == 0

    run(main)


def test_a_request_that_is_cancelled_frees_its_places() -> None:
    async def main() -> None:
        desk, _, _ = make()
        task = await started(desk, 3)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert desk.taken == 0

    run(main)


def test_what_has_no_verdict_in_time_is_unscored_and_the_rest_is_kept() -> None:
    async def main() -> None:
        desk, grader, _ = make(answer_s=0.05)
        task = await started(desk, 2)
        grader.futures[1].set_result(PASSED)
        late, graded = await task
        assert (late.reward, graded.reward) == (None, 1.0)
        assert "no verdict within 0.05 s" in late.explanation
        with pytest.raises(Refusal, match=r"within the 0.01 s") as refused:
            await desk.grade([Asked("t", "p", "x")], never, 0.01)
        assert refused.value.status == 408
        assert desk.taken == 0

    run(main)


def test_at_the_end_nothing_new_is_taken_and_what_runs_may_finish() -> None:
    async def main() -> None:
        desk, grader, _ = make()
        first, second = await started(desk, 1), await started(desk, 1)
        desk.leave()
        with pytest.raises(Refusal, match="The server ends") as refused:
            await desk.grade([Asked("t", "p", "x")], never)
        assert refused.value.status == 503
        grader.futures[0].set_result(PASSED)
        assert await first == [PASSED]
        desk.give_up()
        with pytest.raises(Refusal, match="The server ends"):
            await second
        assert desk.taken == 0

    run(main)


def test_no_sandbox_is_unscored_and_a_fault_of_the_program_is_raised() -> None:
    async def main() -> None:
        desk, grader, _ = make()
        task = await started(desk, 2)
        grader.futures[0].set_exception(InfrastructureError("no tier\x07 works"))
        grader.futures[1].set_result(PASSED)
        assert await task == [GradedAnswer(None, "no tier\\x07 works"), PASSED]
        task = await started(desk, 1)
        grader.futures[2].set_exception(KeyError("a bug"))
        with pytest.raises(KeyError):
            await task
        assert desk.taken == 0

    run(main)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked("gone", "p", "x"), "unknown_task"),
        (Asked("t", "g\x1b[1m", "x"), "unknown_problem"),
    ],
)
def test_unknown_names_take_no_place(asked: Asked, code: str) -> None:
    async def main() -> None:
        desk, grader, _ = make()
        with pytest.raises(Refusal) as refused:
            await desk.grade([Asked("t", "p", "x"), asked], never)
        assert (refused.value.status, refused.value.code) == (404, code)
        assert "\x1b" not in refused.value.message
        assert (desk.taken, grader.futures) == (0, [])

    run(main)


def test_a_grader_that_raises_leaves_no_place_taken() -> None:
    async def main() -> None:
        desk, grader, _ = make()

        def broken(problem_id: str, text: str) -> Future[GradedAnswer]:
            if grader.futures:
                raise RuntimeError("no more threads")
            grader.futures.append(Future())
            return grader.futures[0]

        grader.submit = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            await desk.grade([Asked("t", "p", "x")] * 3, never)
        assert desk.taken == 0

    run(main)


def test_several_tasks_must_be_named() -> None:
    async def main() -> None:
        graders: Any = {"a": HeldGrader("p"), "b": HeldGrader("p")}
        desk = Desk(graders, ServerLimits(), Notes())
        with pytest.raises(Refusal, match=r"names no task\. This server has: a, b"):
            await desk.grade([Asked(None, "p", "x")], never)

    run(main)


@pytest.mark.parametrize(
    "limits", [{"batch": 63}, {"batch": 100, "queue": 99}, {"answer_s": 0}, {"body_mib": "1"}]
)
def test_limits_that_let_nothing_through_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ServerLimits(**limits)
