"""The conformance suite: our grader is sound on it, and graders with known faults are not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from recode_eval import load_task
from recode_eval.conformance import CASES, PROBLEM, ConformanceCase, check_grader
from recode_eval.errors import UsageError
from recode_eval.run.config import SandboxOptions
from recode_eval.run.reward import RewardGrader

if TYPE_CHECKING:
    from pathlib import Path


def ours(folder: Path, tier: str) -> RewardGrader:
    rows = folder / "rows.jsonl"
    rows.write_text(json.dumps(dict(PROBLEM)) + "\n")
    return RewardGrader(load_task("humaneval", rows), SandboxOptions(tier=tier, workers=2))


@pytest.mark.parametrize(
    "tier",
    [
        "landlock",
        pytest.param("bubblewrap", marks=pytest.mark.slow),
        pytest.param("docker", marks=[pytest.mark.slow, pytest.mark.docker]),
    ],
)
def test_our_grader_is_sound(tier: str, tmp_path: Path) -> None:
    with ours(tmp_path, tier) as grader:
        report = check_grader(lambda case: grader(PROBLEM["task_id"], case.answer))
    assert report.sound, report.text()
    assert len(report.cases) == len(CASES)


def test_our_grader_on_a_broken_machine_gives_no_reward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recode_eval.sandbox.base import SandboxCrashError
    from recode_eval.sandbox.pool import Pool

    with ours(tmp_path, "landlock") as grader:
        assert grader(PROBLEM["task_id"], CASES[0].answer) == 1.0

        def lost(*_: object) -> None:
            raise SandboxCrashError("the machine lost its workers")

        monkeypatch.setattr(Pool, "submit", lost)
        report = check_grader(
            lambda case: case.expected,
            broken=lambda case: grader(PROBLEM["task_id"], case.answer),
            kinds=["right"],
        )
    assert report.sound, report.text()
    assert [case.returned for case in report.cases[-2:]] == ["None", "None"]


def by_exit_code(case: ConformanceCase) -> float:
    """Grade as many do: program and test in one process, whose exit code is the verdict."""
    program = f"{case.code or ''}\n{PROBLEM['test']}\ncheck({PROBLEM['entry_point']})\n"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=5, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0.0
    return float(done.returncode == 0)


def test_a_grader_by_exit_code_is_found_out() -> None:
    report = check_grader(by_exit_code, kinds=["right", "forged"])
    forged = {case.name for case in report.unsound if case.grave}
    assert {
        "leaves with exit code 0 while it is loaded",
        "an exit handler that leaves with code 0",
        "equals everything",
    } <= forged
    refused = [case.name for case in report.unsound if case.kind == "right"]
    assert refused == ["a main part that would fail"]
    assert "WRONG REWARD: forged: equals everything: returned 1, not 0" in report.text()


def test_faults_of_a_grader_are_named() -> None:
    """A reward for nothing, an exception, a hang, and a 0 where the machine is at fault."""
    report = check_grader(lambda _: 1.0, kinds=["wrong"])
    assert not report.sound
    assert all(case.grave for case in report.unsound)

    def raises(_: ConformanceCase) -> float:
        raise OSError("disk")

    report = check_grader(raises, kinds=["right"], broken=raises)
    assert len(report.unsound) == len(report.cases) - 2
    assert "raised OSError: disk" in report.text()

    def hangs(_: ConformanceCase) -> float:
        import time

        time.sleep(20)
        return 1.0

    report = check_grader(hangs, kinds=["right"], seconds=0.01)
    assert {case.returned for case in report.cases} == {"gives no answer in time"}
    report = check_grader(lambda case: case.expected, kinds=["right"], broken=lambda _: 0.0)
    assert [case.kind for case in report.unsound] == ["broken machine"] * 2
    report = check_grader(lambda case: case.expected, kinds=["right"],
                          broken=lambda _: float("nan"))  # fmt: skip
    assert report.sound


def test_names_are_unique_and_kinds_are_checked() -> None:
    assert len({(case.kind, case.name) for case in CASES}) == len(CASES)
    with pytest.raises(UsageError, match="no kind 'odd'"):
        check_grader(lambda _: 0, kinds=["odd"])


def test_what_is_no_grader_is_refused() -> None:
    """An async grader was called unsound for every answer."""

    async def waits(case: ConformanceCase) -> float:
        return case.expected or 0.0

    for grader, told in ((waits, "asyncio.run"), (None, "takes a case, not None")):
        with pytest.raises(UsageError, match=told):
            check_grader(grader)  # type: ignore[arg-type]
