"""Logs that are damaged, of another version, hostile, or say less than a comparison needs."""

from __future__ import annotations

import json
import math
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError
from recode_eval.run.foreign.importing import import_log, read_log
from recode_eval.run.foreign.inspect_log import read_json_log
from recode_eval.run.results_file import load_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def made_log(count: int = 6, epochs: int = 2, **changes: Any) -> dict[str, Any]:
    """Return a log in the form of inspect_ai's version 2."""
    samples = [
        {
            "id": f"q{i}", "epoch": epoch + 1, "input": f"{i}", "target": f"{i}",
            "scores": {"match": {"value": "C" if (i + epoch) % 2 else "I"}},
            "metadata": {"cluster": f"c{i // 2}"}, "output": {"completion": "x"},
        }
        for i in range(count)
        for epoch in range(epochs)
    ]  # fmt: skip
    return {
        "version": 2, "status": "success",
        "eval": {
            "task": "t", "task_version": 1, "model": "org/m", "created": "2026-01-02T03:04:05",
            "dataset": {"name": "d", "sample_ids": [f"q{i}" for i in range(count)]},
            "config": {"epochs": epochs}, "scorers": [{"name": "match"}],
            "model_generate_config": {"temperature": 0.5, "top_p": 0.9, "max_tokens": 10,
                                      "seed": 7},
        },
        "plan": {"steps": [{"solver": "generate"}], "config": {}}, "samples": samples, **changes,
    }  # fmt: skip


def stored(folder: Path, content: Any, name: str = "log.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_what_a_log_says_is_what_the_run_has(tmp_path: Path) -> None:
    [run] = load_runs([stored(tmp_path, made_log())])
    sampling = run.results.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed, sampling.n) == (0.5, 0.9, 7, 2)
    assert [problem.passed for problem in run.scores.values()] == [1] * 6
    assert run.results.cautions == [
        "graded by inspect_ai unknown (match), which nothing here has checked"
    ]
    assert run.results.created == "2026-01-02T03:04:05"


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(log: dict[str, Any]) -> None:
        *parts, last = path.split("/")
        place: Any = log
        for part in parts:
            place = place[int(part) if isinstance(place, list) else part]
        place[int(last) if isinstance(place, list) else last] = value

    return apply


@pytest.mark.parametrize(
    ("alter", "caution"),
    [
        (change("status", "cancelled"), "did not finish (status 'cancelled')"),
        (change("invalidated", True), "marked as invalidated"),
        (
            change("samples", [{**s, "metadata": {}} for s in made_log()["samples"]]),
            "name no cluster",
        ),
        (change("eval/model_generate_config", {}), "does not say: temperature"),
        (change("samples/0/scores/match/value", 0.5), "not always right or wrong"),
        (change("eval/dataset/sample_ids", ["q"] * 9), "of 18 samples, 6 are missing"),
        (change("samples/0/scores", {}), "1 samples have no score"),
    ],
)
def test_what_is_not_known_is_a_caution(
    tmp_path: Path, alter: Callable[[dict[str, Any]], None], caution: str
) -> None:
    log = made_log()
    alter(log)
    [run] = load_runs([stored(tmp_path, log)])
    assert any(caution in text for text in run.results.cautions), run.results.cautions


def test_an_error_is_unscored_and_no_failure(tmp_path: Path) -> None:
    """lm-eval and others count what could not be graded as wrong; a comparison must not."""
    log = made_log()
    log["samples"][0]["scores"], log["samples"][0]["error"] = {}, {"message": "sandbox died"}
    [run] = load_runs([stored(tmp_path, log)])
    assert run.scores[next(iter(run.scores))].n == 1
    assert run.results.counts.unscored == 1
    assert run.results.unscored[0].reason == "sandbox died"


def test_a_sample_of_other_content_is_another_problem(tmp_path: Path) -> None:
    """An edited question has its old id; pairing it would compare two different questions."""
    log = made_log()
    for sample in log["samples"][:2]:
        sample["input"] = "edited"
    [one] = load_runs([stored(tmp_path / "a", made_log())])
    [other] = load_runs([stored(tmp_path / "b", log)])
    assert len(set(one.scores) & set(other.scores)) == 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (made_log(version=1_000), "log version 1000"),
        (made_log(samples=None) | {"samples": [3]}, "a sample is no object"),
        ({**made_log(), "samples": made_log()["samples"] * 2}, "twice"),
        ({key: value for key, value in made_log().items() if key != "samples"}, "no samples"),
        (made_log(samples=[]), "no score between 0 and 1"),
        (made_log(count=3, epochs=1) | {"eval": {"task": "", "model": "m"}}, "eval.task"),
    ],
)
def test_a_log_that_cannot_be_read_says_why(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load_runs([stored(tmp_path, content)])


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "no header.json"),
        ({"header.json": b"{"}, "no JSON"),
        ({"header.json": b"[]"}, "lacks `eval`"),
        ({"header.json": b"[" * 200_000}, "no JSON"),
        ({"header.json": b"0" * (257 << 20)}, "unpacks to too much"),
    ],
)
def test_an_archive_that_cannot_be_read_says_why(
    tmp_path: Path, members: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        load_runs([archive(tmp_path / "x.eval", members)])


@pytest.mark.parametrize("cut", [0, 10, 100, -30, -1])
def test_a_torn_archive_is_a_clear_error(tmp_path: Path, cut: int) -> None:
    top = {key: value for key, value in made_log().items() if key != "samples"}
    whole = archive(tmp_path / "x.eval", {"header.json": json.dumps(top).encode()})
    whole.write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"x\.eval"):
        load_runs([whole])


def test_an_unfinished_archive_is_read_from_its_journal(tmp_path: Path) -> None:
    log = made_log()
    members = {
        "_journal/start.json": json.dumps(
            {"version": 2, "eval": log["eval"], "plan": log["plan"]}
        ).encode(),
        **{f"samples/{i}.json": json.dumps(s).encode() for i, s in enumerate(log["samples"][:8])},
    }
    [run] = load_runs([archive(tmp_path / "x.eval", members)])
    assert len(run.scores) == 4
    assert any("did not finish" in text for text in run.results.cautions)


HOSTILE = ["../../etc/passwd", "\x1b[2J", "<script>", "a" * 5_000, "\ud800", "=1+1", "\0"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_inside_the_run(tmp_path: Path, text: str) -> None:
    for path in ("eval/model", "eval/task", "samples/0/id", "samples/0/metadata/cluster"):
        log = made_log()
        change(path, text)(log)
        try:
            found = read_log(stored(tmp_path, log), "log")
            assert found is not None
            folder = import_log(found, "log", tmp_path / "out")
        except DataError:  # too long for a name
            assert len(text) > 300
            continue
        assert folder.resolve().is_relative_to((tmp_path / "out").resolve())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
PLACES = ("eval/config", "eval/dataset", "eval/scorers", "eval/model_args", "eval/packages", "plan",
          "samples/1/scores", "samples/1/output", "samples/1/epoch", "samples/1/metadata",
          "samples/1/model_usage", "samples/1/error", "samples/1/total_time", "samples", "status",
          "eval/model_generate_config", "eval/created", "eval/task_version")  # fmt: skip


@given(st.sampled_from(PLACES), values)
def test_any_content_is_read_or_refused(place: str, value: Any) -> None:
    """A trace instead of a message, or a score that is no share, would be a fault of the reader."""
    log = made_log(2)
    change(place, value)(log)
    try:
        found = read_json_log(log, "log")
    except DataError:
        return
    for sample in found.samples:
        assert all(0 <= score <= 1 and math.isfinite(score) for score in sample.scores.values())
        assert sample.epoch >= 0


def test_lm_eval_samples_without_results_are_read_with_a_caution(tmp_path: Path) -> None:
    line = {"doc_id": 1, "doc": {"a": 1}, "target": "x", "filter": "none", "metrics": ["acc"],
            "acc": 1.0, "filtered_resps": ["x"]}  # fmt: skip
    path = tmp_path / "samples_t_2026-01-02T03-04-05.123.jsonl"
    path.write_text(json.dumps(line) + "\n" + json.dumps({**line, "doc_id": 2, "acc": 0}) + "\n")
    [run] = load_runs([path])
    assert any("no results_*.json" in text for text in run.results.cautions)
    assert [problem.passed for problem in run.scores.values()] == [1, 0]
    path.write_text(json.dumps(line) + "\n{torn")
    with pytest.raises(DataError, match="damaged"):
        load_runs([path])
    path.write_text('{"no": 1}\n')
    with pytest.raises(DataError, match="no sample of lm-eval"):
        load_runs([path])
