"""Answers as futures: one sandbox, many callers, and nothing that hangs or turns into a 0."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval import RewardGrader, areward, load_task
from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.run import answering
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    SandboxCrashError,
    SandboxInfo,
    SandboxUnavailableError,
    Status,
    TestVerdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK = load_task("arena-mini")
PROBLEMS = TASK.problems[:8]
PASSED = Execution((TestVerdict("t", Status.PASSED),))
FAILED = Execution((TestVerdict("a", Status.PASSED), TestVerdict("b", Status.FAILED, "no\x1b[1m")))


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


class HeldSandbox:
    """Runs nothing by itself: a test ends what was submitted. References pass at once."""

    info = SandboxInfo("held", (), "split", 2, "3")

    def __init__(self) -> None:
        self.held: dict[str, Future[Execution]] = {}
        self.references = {p.solutions["reference"].strip() for p in PROBLEMS}
        self.arrived = threading.Semaphore(0)
        self.closed = False

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        del limits
        future: Future[Execution] = Future()
        if program.candidate.strip() in self.references:
            future.set_result(PASSED)
        else:
            self.held[program.candidate.strip()] = future
            self.arrived.release()
        return future

    def await_programs(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=10)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldSandbox:
    sandbox = HeldSandbox()
    monkeypatch.setattr(Sandboxes, "_get", lambda *_: sandbox)
    return sandbox


@pytest.fixture
def grader() -> Iterator[RewardGrader]:
    with RewardGrader(TASK) as found:
        yield found


def answers(*codes: str) -> list[tuple[str, str]]:
    return [(PROBLEMS[0].id, fenced(code)) for code in codes]


def test_a_batch_gives_the_sandbox_everything_at_once(
    held: HeldSandbox, grader: RewardGrader
) -> None:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(grader.grade, [*answers("x = 1", "x = 2", "x = 3"),
                                               (PROBLEMS[1].id, "no code")])  # fmt: skip
        held.await_programs(3)
        assert not waiting.done()
        held.held["x = 3"].set_result(FAILED)
        held.held["x = 2"].set_exception(SandboxCrashError("lost\x1b[2J"))
        held.held["x = 1"].set_result(PASSED)
        found = waiting.result(timeout=10)
    assert [one.reward for one in found] == [1.0, None, 0.0, 0.0]
    assert [one.explanation for one in found[:3]] == [
        "",
        "lost\\x1b[2J",
        "b: failed: no\\x1b[1m",
    ]
    assert found[2].code == "x = 3"


def test_an_event_loop_goes_on_while_answers_wait(held: HeldSandbox, grader: RewardGrader) -> None:
    async def main() -> list[float | None]:
        work = asyncio.gather(*(grader.arewards([one]) for one in answers("x = 1", "x = 2")))
        while len(held.held) < 2:
            await asyncio.sleep(0.01)
        for future in held.held.values():
            future.set_result(PASSED)
        return [reward for part in await work for reward in part]

    assert asyncio.run(asyncio.wait_for(main(), 10)) == [1.0, 1.0]


def test_equal_code_runs_once_and_a_later_one_again(
    held: HeldSandbox, grader: RewardGrader
) -> None:
    first = grader.submit(*answers("x = 1")[0])
    held.await_programs(1)
    second = grader.submit(*answers("x = 1\n\n")[0])
    grader.submit(PROBLEMS[0].id, "no code").result(timeout=10)  # behind it in line
    held.held["x = 1"].set_result(PASSED)
    assert first.result(timeout=10) == second.result(timeout=10)
    third = grader.submit(*answers("x = 1")[0])
    held.await_programs(1)
    held.held["x = 1"].set_result(FAILED)
    assert third.result(timeout=10).reward == 0


def test_what_waits_can_be_cancelled_and_what_runs_cannot(
    held: HeldSandbox, grader: RewardGrader
) -> None:
    waits, runs = (grader.submit(*one) for one in answers("x = 1", "x = 2"))
    held.await_programs(2)
    assert held.held["x = 2"].set_running_or_notify_cancel()
    assert waits.cancel()
    assert held.held["x = 1"].cancelled()
    assert not runs.cancel()
    held.held["x = 2"].set_result(PASSED)
    assert runs.result(timeout=10).reward == 1
    with pytest.raises(CancelledError):
        waits.result(timeout=1)


def test_one_of_two_with_the_same_code_leaves_alone(
    held: HeldSandbox, grader: RewardGrader
) -> None:
    first = grader.submit(*answers("x = 1")[0])
    held.await_programs(1)
    second = grader.submit(*answers("x = 1")[0])
    grader.submit(PROBLEMS[0].id, "").result(timeout=10)  # behind it in line
    assert first.cancel()
    assert not held.held["x = 1"].cancelled()
    held.held["x = 1"].set_result(PASSED)
    assert second.result(timeout=10).reward == 1


def test_a_cancelled_task_takes_its_answers_along(held: HeldSandbox, grader: RewardGrader) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(grader.agrade(answers("x = 1", "x = 2")))
        while len(held.held) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert all(future.cancelled() for future in held.held.values())


def test_without_a_sandbox_a_batch_is_an_error_that_is_found_once(
    grader: RewardGrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for a tier takes seconds; it was done for each answer of a batch."""
    tried: list[None] = []

    def none(*_: object) -> None:
        tried.append(None)
        raise SandboxUnavailableError("no tier works; install Docker")

    monkeypatch.setattr(Sandboxes, "_get", none)
    batch = [(problem.id, fenced("x = 1")) for problem in PROBLEMS]
    with pytest.raises(InfrastructureError, match="install Docker"):
        grader.grade(batch)
    with pytest.raises(InfrastructureError, match="install Docker"):
        asyncio.run(grader.agrade(batch))
    assert len(tried) == 1
    assert grader(PROBLEMS[0].id, "no code") == 0.0  # needs no sandbox


def test_a_sandbox_that_was_given_up_is_opened_anew(
    grader: RewardGrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool never comes back by itself, so a server stayed without rewards for ever."""
    opened: list[HeldSandbox] = []

    class Gone(HeldSandbox):
        def submit(self, program: Program, limits: Limits) -> Future[Execution]:
            future: Future[Execution] = Future()
            if self is opened[0]:
                future.set_exception(SandboxUnavailableError("the daemon is gone"))
                return future
            return super().submit(program, limits)

    def get(self: Any, *_: object) -> HeldSandbox:
        if not self._open:
            opened.append(Gone())
            self._open[("", "", "")] = opened[-1]
            self._closing.callback(opened[-1].close)
        return self._open[("", "", "")]  # type: ignore[no-any-return]

    monkeypatch.setattr(Sandboxes, "_get", get)
    monkeypatch.setattr(answering, "_REOPEN_AFTER_S", 0.0)
    code = fenced(PROBLEMS[0].solutions["reference"])
    [lost] = grader.grade([(PROBLEMS[0].id, code)])
    assert lost == answering.GradedAnswer(None, "the daemon is gone")
    assert grader(PROBLEMS[0].id, code) == 1.0
    assert len(opened) == 2
    for _ in range(100):
        if opened[0].closed:
            break
        time.sleep(0.05)
    assert opened[0].closed


def test_trouble_while_a_problem_is_measured_leaves_no_reward(
    grader: RewardGrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Raising(HeldSandbox):
        def submit(self, program: Program, limits: Limits) -> Future[Execution]:
            raise SandboxCrashError("the workers died")

    monkeypatch.setattr(Sandboxes, "_get", lambda *_: Raising())
    assert grader.grade(answers("x = 1")) == [answering.GradedAnswer(None, "the workers died")]


def test_a_fault_of_the_program_is_raised_and_nobody_waits_for_ever(
    held: HeldSandbox, grader: RewardGrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    grader.submit(PROBLEMS[0].id, fenced(PROBLEMS[0].solutions["reference"])).result(timeout=10)

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(type(TASK.task), "programs", broken)
    with pytest.raises(KeyError, match="a bug"):
        grader.grade(answers("x = 1"))
    with pytest.raises(KeyError, match="a bug"):  # of a problem that was not measured
        grader.grade([(PROBLEMS[1].id, fenced("x = 1"))])
    assert not held.held


def test_closing_ends_what_waits_and_the_next_answer_opens_again(held: HeldSandbox) -> None:
    grader = RewardGrader(TASK)
    waits = grader.submit(*answers("x = 1")[0])
    held.await_programs(1)
    monitored = threading.Timer(0.2, held.held["x = 1"].set_exception,
                                [SandboxCrashError("closed")])  # fmt: skip
    monitored.start()
    grader.close()
    grader.close()
    assert waits.result(timeout=10).reward is None
    assert grader(PROBLEMS[0].id, fenced(PROBLEMS[0].solutions["reference"])) == 1.0
    grader.close()


def test_a_wrong_problem_or_type_takes_the_rest_of_its_batch_along(
    held: HeldSandbox, grader: RewardGrader
) -> None:
    with pytest.raises(UsageError, match="Unknown problem of arena-mini"):
        grader.grade([*answers("x = 1"), ("gone", "x")])
    with pytest.raises(UsageError, match="text must be a text"):
        asyncio.run(grader.agrade([(PROBLEMS[0].id, 3)]))  # type: ignore[list-item]
    with pytest.raises(UsageError, match="answers must be a list"):
        asyncio.run(grader.agrade("x"))  # type: ignore[arg-type]
    assert grader.rewards([(PROBLEMS[0].id, "no code")]) == [0.0]  # behind it in line
    assert all(future.cancelled() for future in held.held.values())


@pytest.mark.usefixtures("closed_rewards")
def test_areward_is_reward_without_waiting() -> None:
    right, stale = (fenced(PROBLEMS[0].solutions[kind]) for kind in ("reference", "stale"))

    async def main() -> list[float | None]:
        calls = (areward("arena-mini", PROBLEMS[0].id, text) for text in (right, stale, "none"))
        return list(await asyncio.gather(*calls))

    assert asyncio.run(main()) == [1.0, 0.0, 0.0]


@pytest.mark.slow
def test_many_threads_and_a_fork_in_the_midst_of_them() -> None:
    """A child that was forked while a thread imported the sandbox had half a module, or hung.

    It has neither the threads nor the locks that other threads held at the fork.
    """
    code = """
        import os, sys, threading
        from recode_eval import RewardGrader, SandboxOptions, load_task
        task = load_task("arena-mini")
        grader = RewardGrader(task, SandboxOptions(tier="landlock", workers=2))
        found = []
        def work(start):
            for p in task.problems[start:start + 4]:
                found.append(grader(p.id, f"```python\\n{p.solutions['reference']}\\n```"))
        threads = [threading.Thread(target=work, args=(4 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        children = []
        for n in range(3):
            child = os.fork()
            if not child:
                p = task.problems[n]
                right = f"```python\\n{p.solutions['reference']}\\n```"
                both = grader.rewards([(p.id, "no"), (p.id, right)])
                grader.close()
                os._exit(0 if both == [0.0, 1.0] else 3)
            children.append(child)
        for thread in threads:
            thread.join()
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        assert found == [1.0] * 16, found
        grader.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
