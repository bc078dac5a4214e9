"""Large sites: the same bytes from several processes, answers spread over files, a benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import make_run

from recode_eval.errors import InfrastructureError
from recode_eval.leaderboard import answers, loading, writing
from recode_eval.leaderboard.answers import answer_files
from recode_eval.leaderboard.processes import forked
from recode_eval.leaderboard.site import build

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[2]


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_several_processes_write_the_same_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a-7B", "b-7B", "c-7B"):
        make_run(tmp_path / "runs", name, 0.5, n=2)
    build([tmp_path / "runs"], tmp_path / "alone", jobs=1)
    monkeypatch.setattr(loading, "_WORTH_A_POOL", 0)
    monkeypatch.setattr(writing, "_WORTH_A_POOL", 0)
    built = build([tmp_path / "runs"], tmp_path / "together", jobs=2)
    assert files(tmp_path / "alone") == files(tmp_path / "together")
    assert built.pages == len(list((tmp_path / "together").rglob("*.html")))


def test_a_run_that_is_broken_is_left_out_by_several_processes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_WORTH_A_POOL", 0)
    make_run(tmp_path / "runs", "good", 0.5, n=1)
    (make_run(tmp_path / "runs", "bad", 0.5, n=1) / "scores.jsonl").write_text("{}\n")
    built = build([tmp_path / "runs"], tmp_path / "site", jobs=2)
    assert built.runs == 1
    assert "line 1 is damaged" in built.broken[0].reason


def test_a_process_that_dies_is_an_error_that_names_a_way_out() -> None:
    """The kernel kills the largest process when memory runs out."""
    with pytest.raises(InfrastructureError, match="--jobs 1"), forked(2) as pool:
        list(pool.map(os._exit, [1, 1]))


def test_the_limit_of_coloured_code_changes_the_colours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "runs", "m", 0.5, n=2)
    seen = []
    for name, limit in (("all", 10_000), ("none", 0)):
        monkeypatch.setattr(writing, "_COLOURED", limit)
        build([tmp_path / "runs"], tmp_path / name)
        [path, *_] = sorted((tmp_path / name / "problems").rglob("*.js"))
        content = json.loads(path.read_text().partition(" = ")[2].removesuffix(";\n"))
        seen.append([_text(content, code) for code in content["codes"]])
        coloured = [code for code in content["codes"] if code and isinstance(code[0], str)]
        assert bool([c for c in coloured if isinstance(c, list)]) == (name == "all")
    assert seen[0] == seen[1]
    assert all("# " in text for text in seen[0])


def _text(content: dict[str, list], code: object) -> str:  # type: ignore[type-arg]
    """Read code as problem.js does."""
    if isinstance(code, str):
        return code
    assert isinstance(code, list)
    if isinstance(code[0], str):
        return "".join(code[1::2])
    number, start, length = code
    return content["texts"][number][start : start + length]


def _graded(sample: int, text: str, **other: object) -> tuple[dict, dict]:  # type: ignore[type-arg]
    completion = {"sample": sample, "finish_reason": "stop", "text": text}
    score = {
        "extraction": "answer", "extraction_detail": "", "code": text, "similarity": {"es": 0.5},
        "conditions": {"with_update": {"passed": True, "tests": [["t", "passed", ""]]}},
    }  # fmt: skip
    return completion, {**score, **other}


def test_what_samples_share_is_stored_once() -> None:
    runs = [(key, [_graded(i, "same") for i in range(5)]) for key in "ab"]
    [file] = answer_files(runs, 0, "python")
    assert (file.texts, file.codes, len(file.conditions)) == (["same"], [[0, 0, 4]], 1)
    assert len(file.runs["b"]) == 5


def test_many_long_answers_are_spread_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_FILE_SIZE", 1000)
    runs = [(f"r{i}", [_graded(0, f"{i}" * 600)]) for i in range(5)]
    found = list(answer_files(runs, 0, "python"))
    assert [list(file.runs) for file in found] == [["r0", "r1"], ["r2", "r3"], ["r4"]]


@pytest.mark.parametrize("number", ["x", None, float("nan"), float("inf"), 10**400, True, []])
def test_a_number_that_is_none_is_not_shown(number: object) -> None:
    """A stranger's record may hold any value there; one used to stop the whole build."""
    [file] = answer_files([("r", [_graded(0, "x", similarity={"es": number})])], 0, "python")
    [sample] = file.runs["r"]
    assert "similarity" not in sample or number is True
    assert b"NaN" not in file.script("x")


@pytest.mark.browser
def test_the_benchmark_runs(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "leaderboard_scale.py", "--runs", "3",
         "--problems", "8", "--n", "2", "--keep", tmp_path],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "3 runs (0 left out)" in result.stdout
    assert "Chromium, overview: sort: " in result.stdout
