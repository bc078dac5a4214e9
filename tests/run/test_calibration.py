from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path

import pytest
from arena_rows import write_rows
from fake_sandbox import FakeSandbox
from test_resume import PROBLEMS, SlowModel, create_run

from recode_eval.run.calibration import Calibration, LimitBook, Measured, measure, slowest_test
from recode_eval.run.evaluation import LIMITS_FOLDER
from recode_eval.run.settings import ScoringSettings
from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    SandboxCrashError,
    Status,
    TestVerdict,
)
from recode_eval.tasks.registry import create_task

pytestmark = pytest.mark.slow

CALIBRATED = ScoringSettings(calibration=Calibration())


class TimedSandbox(FakeSandbox):
    """Says that tests took `cpu_s`, and keeps the limits it was given."""

    def __init__(self, cpu_s: float) -> None:
        super().__init__()
        self.cpu_s = cpu_s
        self.limits: list[Limits] = []

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        self.limits.append(limits)
        future = super().submit(program, limits)
        if future.exception() is not None:
            return future
        timed: Future[Execution] = Future()
        verdicts = future.result().verdicts
        timed.set_result(
            Execution(tuple(TestVerdict(v.name, v.status, v.detail, self.cpu_s) for v in verdicts))
        )
        return timed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "rows.jsonl", PROBLEMS)
    return tmp_path


@pytest.mark.parametrize(
    ("measured", "limit"), [(None, 15), (0.001, 4), (1, 4), (3, 12), (15, 60), (400, 60)]
)
def test_the_limit_is_a_multiple_of_the_reference(measured: float | None, limit: float) -> None:
    assert Calibration().limit(measured) == limit


def test_wall_time_is_only_the_backstop() -> None:
    limits = Calibration().limits(Limits(memory_bytes=1 << 30), 8)
    assert (limits.cpu_s, limits.wall_s, limits.memory_bytes) == (8, 80, 1 << 30)


def test_only_a_passing_reference_is_a_measure() -> None:
    passed = TestVerdict("a", Status.PASSED, cpu_s=0.5)
    slower = TestVerdict("b", Status.PASSED, cpu_s=2.5)
    failed = TestVerdict("b", Status.TIMEOUT, cpu_s=15.0)
    assert slowest_test(Execution((passed, slower))) == 2.5
    assert slowest_test(Execution((passed, failed))) is None
    assert slowest_test(Execution(())) is None


def test_a_reference_that_the_sandbox_lost_is_measured_next_time(folder: Path) -> None:
    """The fallback was kept for good, although only the sandbox had failed."""
    task = create_task("arena")
    problems = task.load(str(folder / "rows.jsonl"), skip_bad_rows=False).problems
    lost = FakeSandbox(fail=lambda _: SandboxCrashError("lost"))
    assert measure(task, problems, lost, Limits(), Calibration()) == Measured()
    book = LimitBook(folder / "limits", Calibration(), Limits(), [], split=False)
    book.measure(task, problems, lost)
    assert book.limits(problems[0].id).cpu_s == 15.0
    assert book.missing(problems) == list(problems)


def test_answers_get_the_limits_of_their_problem(folder: Path) -> None:
    sandbox = TimedSandbox(cpu_s=2.0)
    run = create_run(folder, scoring=CALIBRATED)
    outcome = run.execute(SlowModel(folder / "log"), lambda: sandbox)
    generous, ours = sandbox.limits[:PROBLEMS], sandbox.limits[PROBLEMS:]
    assert {limits.cpu_s for limits in generous} == {15.0}
    assert {limits.cpu_s for limits in ours} == {8.0}
    assert {record.cpu_limit_s for record in outcome.scores.values()} == {8.0}
    assert outcome.manifest["scoring"]["calibration"]["factor"] == 4


def test_what_was_measured_is_used_again(folder: Path) -> None:
    """Another run of the same rows on the same machine must not measure again."""
    create_run(folder, scoring=CALIBRATED).execute(
        SlowModel(folder / "log"), lambda: TimedSandbox(cpu_s=2.0)
    )
    [path] = (folder / "runs" / LIMITS_FOLDER).iterdir()
    assert set(json.loads(path.read_text())["cpu_s"].values()) == {8.0}
    sandbox = TimedSandbox(cpu_s=9.0)
    other = create_run(folder, scoring=CALIBRATED, temperature=0.3)
    other.execute(SlowModel(folder / "log"), lambda: sandbox)
    assert {limits.cpu_s for limits in sandbox.limits} == {8.0}
    path.write_text("{damaged")
    sandbox = TimedSandbox(cpu_s=9.0)
    third = create_run(folder, scoring=CALIBRATED, temperature=0.4)
    third.execute(SlowModel(folder / "log"), lambda: sandbox)
    assert {limits.cpu_s for limits in sandbox.limits} == {15.0, 36.0}


def test_a_fixed_limit_measures_nothing(folder: Path) -> None:
    sandbox = TimedSandbox(cpu_s=2.0)
    run = create_run(folder, scoring=ScoringSettings(Limits(cpu_s=3)))
    run.execute(SlowModel(folder / "log"), lambda: sandbox)
    assert {limits.cpu_s for limits in sandbox.limits} == {3}
    assert not (folder / "runs" / LIMITS_FOLDER).exists()


def test_a_named_tier_grades_again_what_another_one_graded(folder: Path) -> None:
    """`--sandbox docker` on a run that landlock had finished said 'graded in landlock'."""
    create_run(folder).execute(SlowModel(folder / "log"), lambda: FakeSandbox(tier="weak"))
    outcome = create_run(folder).execute(
        SlowModel(folder / "log"), lambda: FakeSandbox(tier="strong"), tier="strong"
    )
    assert {record.tier for record in outcome.scores.values()} == {"strong"}
    assert outcome.manifest["sandbox"]["tier"] == "strong"
