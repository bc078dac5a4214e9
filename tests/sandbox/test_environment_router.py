"""Several environments behind one sandbox: routing, changing pools, and what goes wrong there."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from recode_eval.errors import DataError
from recode_eval.sandbox import environment_router
from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    SandboxBuildError,
    SandboxClosedError,
    SandboxCrashError,
    SandboxInfo,
    Status,
    Test,
    TestVerdict,
)
from recode_eval.sandbox.environment_router import EnvironmentRouter
from recode_eval.sandbox.locks import NoSuchReleaseError

LIMITS = Limits()


@dataclass
class FakePool:
    """Runs a program on a thread of its own; says in the verdict which pool ran it."""

    name: str
    hold: threading.Event | None = None
    closed: bool = False
    waiting: list[Future[Execution]] = field(default_factory=list)

    @property
    def info(self) -> SandboxInfo:
        return SandboxInfo("fake", (), "program", 1, "3.11", {"library": self.name})

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        future: Future[Execution] = Future()
        if self.closed:
            future.set_exception(SandboxClosedError("closed"))
            return future

        def work() -> None:
            if self.hold is not None:
                self.hold.wait(10)
            if future.set_running_or_notify_cancel():
                future.set_result(Execution((TestVerdict(self.name, Status.PASSED),)))

        threading.Thread(target=work, daemon=True).start()
        return future

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> FakePool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Yard:
    """Opens fake pools, and counts how many are open at once."""

    def __init__(self) -> None:
        self.pools: list[FakePool] = []
        self.most = 0
        self.errors: dict[str, Exception] = {}
        self.hold: threading.Event | None = None

    def open(self, name: str) -> FakePool:
        if name in self.errors:
            raise self.errors[name]
        pool = FakePool(name, self.hold)
        self.pools.append(pool)
        self.most = max(self.most, sum(not pool.closed for pool in self.pools))
        return pool


def program(environment: str | None) -> Program:
    return Program("", "x = 1", (Test("t", "assert x"),), environment=environment)


def ran_in(future: Future[Execution]) -> str:
    return future.result(timeout=10).verdicts[0].name


def test_each_program_runs_in_the_environment_that_it_names() -> None:
    with EnvironmentRouter(FakePool("own"), Yard().open) as router:
        names = [None, "a-1", "b-2", "a-1", None]
        futures = [router.submit(program(name), LIMITS) for name in names]
        assert [ran_in(future) for future in futures] == ["own", "a-1", "b-2", "a-1", "own"]


@pytest.mark.parametrize("max_open", [1, 2, 3])
def test_few_pools_are_open_at_once_and_nobody_starves(max_open: int) -> None:
    yard = Yard()
    with EnvironmentRouter(FakePool("own"), yard.open, max_open=max_open) as router:
        names = [f"lib-{number}" for number in range(12)] * 5
        futures = [router.submit(program(name), LIMITS) for name in names]
        assert [ran_in(future) for future in futures] == names
    assert yard.most <= max_open + 1  # one that is being closed may still count
    assert all(pool.closed for pool in yard.pools)


def test_a_pool_is_used_again_while_nobody_else_waits() -> None:
    yard = Yard()
    with EnvironmentRouter(FakePool("own"), yard.open, max_open=1) as router:
        for _ in range(20):
            ran_in(router.submit(program("a-1"), LIMITS))
    assert len(yard.pools) == 1


def test_what_every_environment_had_is_recorded() -> None:
    with EnvironmentRouter(FakePool("own"), Yard().open, max_open=1) as router:
        for name in ("a-1", "b-2"):
            ran_in(router.submit(program(name), LIMITS))
        environments = router.info.environments
    assert {name: env["libraries"] for name, env in environments.items()} == {
        "a-1": {"library": "a-1"},
        "b-2": {"library": "b-2"},
    }
    assert router.info.libraries == {"library": "own"}


@pytest.mark.parametrize("error", [SandboxBuildError("no wheel"), DataError("bad pin"), OSError(5)])
def test_an_environment_that_cannot_be_built_is_infrastructure_trouble(error: Exception) -> None:
    """Samples must stay unscored: never failed, and the others go on."""
    yard = Yard()
    yard.errors["a-1"] = error
    with EnvironmentRouter(FakePool("own"), yard.open) as router:
        lost = [router.submit(program("a-1"), LIMITS) for _ in range(3)]
        fine = router.submit(program("b-2"), LIMITS)
        for future in lost:
            assert isinstance(future.exception(timeout=10), SandboxBuildError)
        assert ran_in(fine) == "b-2"
        again = router.submit(program("a-1"), LIMITS)
        assert isinstance(again.exception(timeout=10), SandboxBuildError)


def test_an_environment_that_failed_once_is_tried_again() -> None:
    """One failed build left all samples of the environment unscored for the rest of the process."""
    yard = Yard()
    failures = iter([SandboxBuildError("COPY --from: No such image")])

    def open_pool(name: str) -> FakePool:
        for failure in failures:
            raise failure
        return yard.open(name)

    with EnvironmentRouter(FakePool("own"), open_pool) as router:
        futures = [router.submit(program("a-1"), LIMITS) for _ in range(3)]
        assert [ran_in(future) for future in futures] == ["a-1"] * 3


def test_an_environment_that_failed_twice_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    yard = Yard()
    yard.errors["a-1"] = SandboxBuildError("the disk is full")
    with EnvironmentRouter(FakePool("own"), yard.open) as router:
        lost = router.submit(program("a-1"), LIMITS)
        assert isinstance(lost.exception(timeout=10), SandboxBuildError)
        yard.errors.clear()
        soon = router.submit(program("a-1"), LIMITS)
        assert isinstance(soon.exception(timeout=10), SandboxBuildError)
        now = time.monotonic()
        monkeypatch.setattr(environment_router.time, "monotonic", lambda: now + 31)
        assert ran_in(router.submit(program("a-1"), LIMITS)) == "a-1"


@pytest.mark.parametrize("error", [NoSuchReleaseError("no wheels"), DataError("bad pin")])
def test_what_cannot_change_is_tried_once(error: Exception) -> None:
    tried = []

    def open_pool(name: str) -> FakePool:
        tried.append(name)
        raise error

    with EnvironmentRouter(FakePool("own"), open_pool) as router:
        for _ in range(3):
            lost = router.submit(program("a-1"), LIMITS)
            assert isinstance(lost.exception(timeout=10), SandboxBuildError)
    assert tried == ["a-1"]


def test_a_pool_that_raises_loses_only_that_program() -> None:
    """Else its lane would count as busy for ever, and nobody would tell those that wait."""

    class Raising(FakePool):
        def submit(self, program: Program, limits: Limits) -> Future[Execution]:
            if program.candidate == "odd":
                raise RuntimeError("no threads left")
            return super().submit(program, limits)

    with EnvironmentRouter(FakePool("own"), Raising, max_open=1) as router:
        odd = Program("", "odd", (), environment="a-1")
        futures = [router.submit(one, LIMITS) for one in (program("a-1"), odd, program("a-1"))]
        other = router.submit(program("b-2"), LIMITS)
        assert isinstance(futures[1].exception(timeout=10), SandboxCrashError)
        assert [ran_in(future) for future in (futures[0], futures[2], other)] == [
            "a-1", "a-1", "b-2",
        ]  # fmt: skip


def test_cancelled_programs_do_not_keep_a_pool_busy() -> None:
    yard = Yard()
    yard.hold = threading.Event()
    with EnvironmentRouter(FakePool("own"), yard.open, max_open=1) as router:
        futures = [router.submit(program("a-1"), LIMITS) for _ in range(5)]
        while not yard.pools:
            time.sleep(0.01)
        assert all(future.cancel() for future in futures)
        yard.hold.set()
        assert ran_in(router.submit(program("b-2"), LIMITS)) == "b-2"


def test_closing_ends_what_waits() -> None:
    yard = Yard()
    yard.hold = threading.Event()
    router = EnvironmentRouter(FakePool("own"), yard.open, max_open=1)
    running = router.submit(program("a-1"), LIMITS)
    waiting = router.submit(program("b-2"), LIMITS)
    router.close()
    assert isinstance(waiting.exception(timeout=10), SandboxClosedError)
    yard.hold.set()
    assert running.exception(timeout=10) is None or isinstance(
        running.exception(timeout=10), SandboxClosedError
    )
    late = router.submit(program("a-1"), LIMITS)
    assert isinstance(late.exception(timeout=10), SandboxClosedError)
    router.close()
