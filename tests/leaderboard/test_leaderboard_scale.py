"""Large sites: the same bytes from several processes, answers spread over files, a benchmark."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run

from recode_eval.errors import InfrastructureError
from recode_eval.leaderboard import answers, index_cache, loading, writing
from recode_eval.leaderboard.answers import AnswerFile, coloured_samples, shared_files
from recode_eval.leaderboard.index_cache import IndexCache
from recode_eval.leaderboard.loading import load_runs
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


def answer_file(runs: list[tuple[str, list[tuple[dict, dict]]]]) -> AnswerFile:  # type: ignore[type-arg]
    file = AnswerFile("python")
    for key, samples in runs:
        file.add(key, samples, 0)
    return file


def test_what_samples_share_is_stored_once() -> None:
    file = answer_file([(key, [_graded(i, "same") for i in range(5)]) for key in "ab"])
    assert (file.texts, file.codes, len(file.conditions)) == (["same"], [[0, 0, 4]], 1)
    assert len(file.runs["b"]) == 5


@given(
    st.lists(st.tuples(st.text(max_size=8), st.integers(0, 3_000_000)), max_size=60),
    st.tuples(st.text(max_size=8), st.integers(0, 300_000)),
)
def test_many_long_answers_are_spread_over_files(
    runs: list[tuple[str, int]], new: tuple[str, int]
) -> None:
    files = shared_files(runs)
    assert sorted(place for file in files for place in file) == list(range(len(runs)))
    assert all(list(file) == sorted(file) for file in files)
    for file in files:
        assert len(file) == 1 or sum(runs[place][1] for place in file) <= 4 * answers._FILE_SIZE
    assert all(shared_files([*runs, new]))  # no file is empty


def test_a_new_run_changes_the_file_that_it_comes_into_and_no_other() -> None:
    """Files were filled one after the other: one new run changed all that came later."""
    runs = [(f"{i:08x}", 15_000) for i in range(200)]
    for place in (0, 77, 200):
        more = [*runs[:place], ("new", 15_000), *runs[place:]]
        names = [{tuple(x[i] for i in file) for file in shared_files(x)} for x in (runs, more)]
        assert len(names[0]) > 3
        [changed] = names[1] - names[0]
        assert len(changed) < 60, "most of the runs are in other files"


def test_coloured_samples_are_shared_out() -> None:
    assert coloured_samples(7, 3) == [3, 2, 2]
    assert coloured_samples(2, 3) == [1, 1, 0]


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that gets the folder of every run whose lines are read."""
    read, real = [], loading.read_index
    monkeypatch.setattr(loading, "read_index", lambda folder, *a, **k: (
        read.append(folder), real(folder, *a, **k))[1])  # fmt: skip
    monkeypatch.setattr(index_cache, "_UNSETTLED_S", 0.0)
    return read


def test_a_second_build_reads_new_runs_only_and_gives_the_same_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild after one new run took as long as the first build."""
    read = counted_reads(monkeypatch)
    runs, site, cache = tmp_path / "runs", tmp_path / "site", tmp_path / "cache"
    for name in ("a-7B", "b-7B"):
        make_run(runs, name, 0.5, n=2, task_name="arena-multi")
    build([runs], site, cache=cache)
    assert len(read) == 2
    before = {path.name: path.stat().st_ino for path in site.glob("problems/*/*.js")}
    new = make_run(runs, "c-7B", 0.5, n=2, task_name="arena-multi")
    build([runs], site, cache=cache)
    assert read[2:] == [new.resolve()]
    build([runs], tmp_path / "anew", reuse=False)
    assert files(site) == files(tmp_path / "anew")
    made = {path.name: path.stat().st_ino for path in site.glob("problems/*/*.js")}
    build([runs], site, cache=cache)
    assert len(read) == 6
    kept = {path.name: path.stat().st_ino for path in site.glob("problems/*/*.js")}
    assert kept == made, "the same files, not copies of them"
    build([runs], site, reuse=False)
    assert files(site) == files(tmp_path / "anew")
    assert set(kept) == {path.name for path in site.glob("problems/*/*.js")}
    assert set(before) != set(kept)


def test_a_changed_run_is_read_again_and_a_damaged_cache_is_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = counted_reads(monkeypatch)
    place = make_run(tmp_path / "runs", "a-7B", 0.5, n=2, task_name="arena-multi")
    cache = IndexCache(tmp_path / "cache")
    [first], _ = load_runs([tmp_path / "runs"], cache=cache)
    [again], _ = load_runs([tmp_path / "runs"], cache=cache)
    assert len(read) == 1
    assert again == first
    assert again.index == first.index
    assert again.samples(again.problems[3].id) == first.samples(first.problems[3].id)
    [entry] = (tmp_path / "cache").iterdir()
    good = entry.read_bytes()
    for content in (
        b"",
        good[:-9],
        b"\x00" + good,
        good.replace(b"old API", b"\xff\xff\xff\xff API"),
    ):
        entry.write_bytes(content)
        load_runs([tmp_path / "runs"], cache=cache)
    assert len(read) >= 4
    count = len(read)
    scores = place / "scores.jsonl"
    os.utime(scores, ns=(1, 1))  # same size; only the time tells
    load_runs([tmp_path / "runs"], cache=cache)
    assert len(read) == count + 1
    scores.write_text(re.sub(r'"passed": ?true', '"passed":false', scores.read_text()))
    runs, broken = load_runs([tmp_path / "runs"], cache=cache)
    assert not runs
    assert "recode-eval score RUN" in broken[0].reason


@pytest.mark.parametrize("number", ["x", None, float("nan"), float("inf"), 10**400, True, []])
def test_a_number_that_is_none_is_not_shown(number: object) -> None:
    """A stranger's record may hold any value there; one used to stop the whole build."""
    file = answer_file([("r", [_graded(0, "x", similarity={"es": number})])])
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
