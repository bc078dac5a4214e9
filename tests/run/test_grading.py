from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest
from arena_rows import REFERENCE, write_rows
from fake_sandbox import FakeSandbox

from recode_eval.errors import StorageError
from recode_eval.run import grading
from recode_eval.run.grading import Grader, Unscored, condition_record
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    SandboxCrashError,
    SandboxInfo,
    Status,
    TestVerdict,
)
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.tasks.base import Problem, Task


class StuckSandbox:
    """Takes programs and runs none."""

    def __init__(self) -> None:
        self.info = SandboxInfo("stuck", (), "program", 1, "3")
        self.futures: list[Future[Execution]] = []

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        self.futures.append(Future())
        return self.futures[-1]


class Fixture:
    """A grader, what it graded, and a way to hand it answers to the first problem."""

    def __init__(self, folder: Path, sandbox: object) -> None:
        self.task: Task = create_task("arena")
        rows = write_rows(folder / "rows.jsonl", 2)
        self.problem: Problem = self.task.load(str(rows), skip_bad_rows=False).problems[0]
        self.scores: list[ScoreRecord] = []
        self.unscored: list[Unscored] = []
        self.grader = Grader(
            self.task, sandbox, lambda _problem_id: Limits(), "hash",
            on_score=self.scores.append, on_unscored=self.unscored.append,
        )  # fmt: skip

    def submit(self, sample: int, code: str | None = REFERENCE) -> None:
        text = "no code here" if code is None else f"```python\n{code}```"
        self.grader.submit(
            self.problem, CompletionRecord(self.problem.id, sample, 1, "prompt", text, "stop")
        )


def test_samples_with_the_same_code_share_one_grading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Similarity and flags were worked out anew for every sample, also of one and the same code."""
    compared = []
    real = grading.similarity_scores
    monkeypatch.setattr(
        grading, "similarity_scores", lambda code, *rest: compared.append(code) or real(code, *rest)
    )
    fixture = Fixture(tmp_path, FakeSandbox())
    for sample in range(5):
        fixture.submit(sample)
    fixture.submit(5, None)
    fixture.grader.finish()
    assert len(compared) == 2
    assert [score.passed("with_update") for score in fixture.scores] == [True] * 5 + [False]
    assert len({score.sample for score in fixture.scores}) == 6
    assert [score.completion for score in fixture.scores][:5] == [fixture.scores[0].completion] * 5


def test_a_record_keeps_the_end_of_the_output_only() -> None:
    """A sandbox hands over 64 KiB of output per program.

    Stored whole, 13,400 answers that print in a loop filled disk and memory with gigabytes.
    """
    verdict = TestVerdict("t", Status.PASSED)
    record = condition_record(Execution((verdict,), output="x" * 60_000 + "the end"))
    assert len(record["output"]) <= 4_000
    assert record["output"].endswith("the end")


def test_giving_up_drops_what_waits_in_the_sandbox(tmp_path: Path) -> None:
    """After an interruption the sandbox went on with up to 8,000 programs for nobody."""
    sandbox = StuckSandbox()
    fixture = Fixture(tmp_path, sandbox)
    for sample in range(3):
        fixture.submit(sample, f"{REFERENCE}# {sample}\n")
    assert len(sandbox.futures) == 6
    fixture.grader.abandon()
    assert all(future.cancelled() for future in sandbox.futures)
    assert fixture.scores == []
    assert fixture.unscored == []


def test_what_stops_the_recorder_reaches_the_submitting_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is found by the recorder; a submit that waits for a free place must not hang."""
    monkeypatch.setattr(grading, "_MAX_PENDING", 2)
    sandbox = StuckSandbox()
    fixture = Fixture(tmp_path, sandbox)

    def full(record: ScoreRecord) -> None:
        raise StorageError("the disk is full")

    fixture.grader._on_score = full
    fixture.submit(0, None)  # no code: graded at once
    for sample in (1, 2):
        try:
            fixture.submit(sample, f"{REFERENCE}# {sample}\n")
        except StorageError:
            break
    with pytest.raises(StorageError):
        fixture.submit(3, f"{REFERENCE}# 3\n")
    fixture.grader.abandon()


def test_a_submit_that_waits_can_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "_MAX_PENDING", 1)
    sandbox = StuckSandbox()
    fixture = Fixture(tmp_path, sandbox)
    fixture.submit(0)
    waiting = threading.Thread(target=fixture.submit, args=(1, f"{REFERENCE}# 1\n"), daemon=True)
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive()
    for future in list(sandbox.futures):
        future.set_result(Execution((TestVerdict("t", Status.PASSED),)))
    waiting.join(5)
    assert not waiting.is_alive()
    for future in sandbox.futures[2:]:
        future.set_result(Execution((TestVerdict("t", Status.PASSED),)))
    fixture.grader.finish()
    assert len(fixture.scores) == 2


def test_an_unscored_sample_has_its_flags(tmp_path: Path) -> None:
    """Attack: an answer that is lost every time left the denominator without being flagged."""
    fixture = Fixture(tmp_path, FakeSandbox(fail=lambda _: SandboxCrashError("died twice")))
    fixture.submit(0, f"import os\nos._exit(0)\n{REFERENCE}")
    fixture.submit(1)
    fixture.grader.finish()
    flags = {item.sample: (item.reason, item.flags) for item in fixture.unscored}
    assert flags == {0: ("died twice", ("ends the process",)), 1: ("died twice", ())}
