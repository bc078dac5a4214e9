"""The throughput benchmark: its programs are what they claim to be, and a small run works."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

CHECKOUT = Path(__file__).resolve().parents[2]
BENCHMARKS = CHECKOUT / "benchmarks"


@pytest.fixture
def mix(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from throughput import mix

    return mix


@pytest.fixture
def racing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from throughput import racing

    return racing


def test_mix_has_its_shares_and_no_program_twice(mix: ModuleType) -> None:
    jobs = mix.make_mix(300, seed=5)
    kinds = Counter(job.kind for job in jobs)
    assert kinds == {"std": 135, "numpy": 60, "pandas": 30, "sympy": 15, "torch": 60}
    assert len({job.program.setup + job.program.candidate for job in jobs}) == 300
    assert {len(job.program.tests) for job in jobs} == {4}
    failing = sum(not all(job.expected) for job in jobs)
    assert 5 < failing < 60


def test_mix_is_decided_by_its_seed(mix: ModuleType) -> None:
    assert mix.make_mix(40, seed=1) == mix.make_mix(40, seed=1) != mix.make_mix(40, seed=2)


def test_every_template_can_fail(mix: ModuleType) -> None:
    for job in mix.make_mix(200, seed=1, wrong_share=1.0):
        assert not all(job.expected), job.name
        assert any(job.expected), job.name


def test_standard_library_programs_do_what_is_expected_of_them(mix: ModuleType) -> None:
    right = mix.make_mix(60, seed=3, wrong_share=0.0)
    wrong = mix.make_mix(60, seed=4, wrong_share=1.0)
    for job in [job for job in right + wrong if job.kind == "std"]:
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(job.program.setup + job.program.candidate, space)
        assert tuple(_passes(test.code, space) for test in job.program.tests) == job.expected


def _passes(code: str, space: dict[str, Any]) -> bool:
    try:
        exec(code, space)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("count", [1, 7, 10, 299])
def test_rounds_hold_all_programs_once(mix: ModuleType, count: int) -> None:
    jobs = mix.make_mix(count, seed=1)
    parts = mix.in_rounds(jobs, 5)
    assert sorted(job.name for part in parts for job in part) == sorted(job.name for job in jobs)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_sample_keeps_the_shares(mix: ModuleType) -> None:
    sample = mix.sample(mix.make_mix(300, seed=1), 20, seed=7)
    assert len({job.name for job in sample}) == 20
    kinds = Counter(job.kind for job in sample)
    assert kinds == {"std": 9, "numpy": 4, "pandas": 2, "sympy": 1, "torch": 4}


def test_wrong_verdicts_are_named(mix: ModuleType, racing: ModuleType) -> None:
    from throughput.contenders import Answer

    jobs = mix.make_mix(10, seed=1, wrong_share=0.0)
    good, one_test_off, all_or_nothing = racing.Record(), racing.Record(), racing.Record()
    for job in jobs:
        good.answers[job.name] = Answer(True, job.expected)
        one_test_off.answers[job.name] = Answer(True, job.expected)
        all_or_nothing.answers[job.name] = Answer(True)
    one_test_off.answers[jobs[3].name] = Answer(False, (True, False, True, True))
    all_or_nothing.answers[jobs[4].name] = Answer(False)
    racing.grade({"a": good, "b": one_test_off, "c": all_or_nothing}, jobs)
    assert good.wrong == []
    assert one_test_off.wrong == [jobs[3].name]
    assert all_or_nothing.wrong == [jobs[4].name]


def test_without_expectations_the_majority_decides(mix: ModuleType, racing: ModuleType) -> None:
    from throughput.contenders import Answer

    job = mix.Job("row", "std", mix.make_mix(1, seed=1)[0].program)
    records = {name: racing.Record() for name in "abc"}
    for name, verdicts in (("a", (True, False)), ("b", (True, True)), ("c", (True, False))):
        records[name].answers["row"] = Answer(all(verdicts), verdicts)
    racing.grade(records, [job])
    assert [records[name].wrong for name in "abc"] == [[], ["row"], []]


@pytest.mark.slow
def test_small_run(tmp_path: Path) -> None:
    """A sandbox against the floor: right verdicts, and figures that fit together."""
    contenders = "landlock:program,landlock:test,floor"
    result = _run(
        tmp_path, "--contenders", contenders, "--environment", "mini", "--kinds", "std,numpy"
    )
    for name in contenders.split(","):
        entry = result["contenders"][name]
        assert entry["wrong"] == []
        assert entry["programs"] == 10
        assert 0 < entry["p50_ms"] <= entry["p95_ms"]
        assert entry["cpu_ms"] > entry["client_cpu_ms"] >= 0
        walls = sum(one["wall_s"] for one in entry["rounds"])
        assert entry["programs_per_s"] == pytest.approx(10 / walls)


def _run(folder: Path, *options: str) -> dict[str, Any]:
    target = folder / "result.json"
    command = [sys.executable, str(BENCHMARKS / "sandbox_throughput.py"), "--programs", "10"]
    command += ["--rounds", "2", "--workers", "2", "--tries", "1", "--json", str(target), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(target.read_text(encoding="utf-8"))
