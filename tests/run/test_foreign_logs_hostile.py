"""Logs that are damaged, of another version, hostile, or say less than a comparison needs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recode_eval import compare
from recode_eval.cli import run as command
from recode_eval.errors import DataError, UsageError
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


def test_logs_without_a_common_problem_say_so(tmp_path: Path) -> None:
    """The error told that they share no metric, and named those that both had."""
    log = made_log()
    for sample in log["samples"]:
        sample["input"] += " edited"
    paths = stored(tmp_path / "a", made_log()), stored(tmp_path / "b", log)
    with pytest.raises(UsageError, match="no problem in common"):
        compare(*paths)


def test_a_log_that_does_not_list_its_samples_lacks_none(tmp_path: Path) -> None:
    """A caution told that it had more samples than its data set of none."""
    log = made_log()
    log["eval"]["dataset"] = {"name": "d"}
    [run] = load_runs([stored(tmp_path, log)])
    assert len(run.results.cautions) == 1


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


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_altered_archive_is_read_or_refused(
    tmp_path: Path, method: int, data: st.DataObject
) -> None:
    """A flipped bit ended in a trace: zlib, lzma and encryption have errors of their own."""
    log = made_log(2)
    top = {key: value for key, value in log.items() if key != "samples"}
    members = {"header.json": json.dumps(top).encode()}
    members |= {f"samples/{i}.json": json.dumps(s).encode() for i, s in enumerate(log["samples"])}
    path = archive(tmp_path / "x.eval", members, method)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with contextlib.suppress(DataError):
        read_log(path, "x.eval")


@pytest.mark.parametrize("place", ["samples/0/epoch", "eval/config/epochs"])
def test_a_number_of_epochs_fills_no_memory(tmp_path: Path, place: str) -> None:
    """Each epoch that a log lacks is accounted for; 2**40 of them took the machine's memory."""
    log = made_log()
    change(place, 2**40)(log)
    with pytest.raises(DataError, match="too many to be one log"):
        load_runs([stored(tmp_path, log)])


@pytest.mark.parametrize(
    "values", [[1, 7, 10, 1, 1, 3], ["C", "A", "B", "C", "C", "D"], [[1], 1, 1, 0, 1, 1]]
)
def test_marks_on_another_scale_are_not_compared(tmp_path: Path, values: list[Any]) -> None:
    """Of marks from 1 to 10, or A to E, the few that look like ours were read: all right."""
    log = made_log(epochs=1)
    for sample, value in zip(log["samples"], values, strict=True):
        sample["scores"]["match"]["value"] = value
    with pytest.raises(DataError, match=r"no score between 0 and 1.*left out: match"):
        load_runs([stored(tmp_path / "alone", log)])
    for sample in log["samples"]:
        sample["scores"]["other"] = {"value": "I"}
    [run] = load_runs([stored(tmp_path / "both", log)])
    assert [problem.passed for problem in run.scores.values()] == [0] * 6
    assert any("left out: match" in text for text in run.results.cautions)


def test_texts_are_scores_as_inspect_reads_them(tmp_path: Path) -> None:
    """Where some say yes and some C, what says yes was unscored."""
    log = made_log(epochs=1)
    texts = ["C", "Yes", "true", "1", "no", "False"]
    for sample, text in zip(log["samples"], texts, strict=True):
        sample["scores"]["match"]["value"] = text
    [run] = load_runs([stored(tmp_path, log)])
    assert [problem.passed for problem in run.scores.values()] == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("value", [math.nan, None, "NaN"])
def test_unscored_is_not_another_scale(tmp_path: Path, value: Any) -> None:
    log = made_log(epochs=1)
    log["samples"][1]["scores"]["match"]["value"] = value
    [run] = load_runs([stored(tmp_path, log)])
    assert run.results.counts.unscored == 1


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


def test_messages_are_paired_by_what_they_say(tmp_path: Path) -> None:
    """inspect_ai gives every message an id of its own: two logs of one task shared no problem.

    Our own plugin asks by messages, so none of its logs could be compared.
    """
    runs = []
    for name, text in (("a", "q"), ("b", "q"), ("c", "another")):
        log = made_log()
        for n, sample in enumerate(log["samples"]):
            parts = [{"type": "text", "text": text, "id": f"{name}{n}"}]
            sample["input"] = [
                {"id": f"{name}{n}s", "role": "system", "content": "Be brief."},
                {"id": f"{name}{n}u", "role": "user", "content": parts},
            ]
        runs += load_runs([stored(tmp_path / name, log)])
    assert set(runs[0].scores) == set(runs[1].scores)
    assert not set(runs[0].scores) & set(runs[2].scores)


@pytest.mark.parametrize("created", ["", "soon", None, "0001-01-01T00:00:00+14:00", "\x1b[31m"])
def test_a_log_without_a_time_can_be_exported(tmp_path: Path, created: Any) -> None:
    """It was read, but every export said that the log is damaged and that `score` rewrites it."""
    log = made_log()
    log["eval"]["created"] = created
    path = stored(tmp_path, log)
    os.utime(path, (1_767_323_045, 1_767_323_045))
    [run] = load_runs([path])
    assert run.results.created == "2026-01-02T03:04:05+00:00"
    assert any("its file's time stands for that" in text for text in run.results.cautions)
    words = ["export", str(path), "--format", "junit", "--out", str(tmp_path / "out")]
    assert command(words) == 0


HOSTILE_TEXT = "\x1b]0;own\x07\x1b[31m<script>\u202e\r\n|\x9b1m"


def test_what_a_log_says_never_reaches_a_terminal_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate's notes had the escape sequences of a scorer's name, and of an error in a sample."""
    logs = []
    for name in ("a", "b"):
        log = made_log(8)
        log["eval"] |= {
            "model": f"m{name}{HOSTILE_TEXT}", "task": f"t{HOSTILE_TEXT}",
            "created": HOSTILE_TEXT, "packages": {"inspect_ai": HOSTILE_TEXT},
            "dataset": {"name": HOSTILE_TEXT}, "scorers": [{"name": f"match{HOSTILE_TEXT}"}],
        }  # fmt: skip
        for sample in log["samples"]:
            sample["id"] += HOSTILE_TEXT
            sample["metadata"]["cluster"] += HOSTILE_TEXT
            verdict = {**sample["scores"]["match"], "explanation": HOSTILE_TEXT}
            sample["scores"] = {f"match{HOSTILE_TEXT}": verdict, f"x{HOSTILE_TEXT}": {"value": 9}}
        log["samples"][0] |= {"scores": {}, "error": {"message": HOSTILE_TEXT}}
        logs.append(str(stored(tmp_path / name, log)))
    for words in (
        ["compare", *logs], ["compare", *logs, "--markdown"], ["items", *logs],
        ["plan", *logs], ["gate", "--baseline", logs[0], "--candidate", logs[1]],
    ):  # fmt: skip
        command(words)
        said = "".join(capsys.readouterr())
        assert "own" in said or words[0] == "plan", words
        assert not set("\x1b\x07\x9b\u202e\r") & set(said), words


def lm_eval_log(
    folder: Path, lines: list[dict[str, Any]], results: dict[str, Any] | None = None
) -> Path:
    path = folder / "samples_t_2026-01-02T03-04-05.123.jsonl"
    named = [{"doc": {}, "filter": "none", "metrics": ["err", "acc"], **line} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in named))
    if results is not None:
        (folder / "results_2026-01-02T03-04-05.123.json").write_text(json.dumps(results))
    return path


def test_an_error_rate_of_lm_eval_is_no_rate_of_passes(tmp_path: Path) -> None:
    """The first metric counted, and more of it was better: the worse model won."""
    lines = [{"doc_id": i, "err": float(i != 0), "acc": float(i == 0)} for i in range(4)]
    results = {"higher_is_better": {"t": {"err": False, "acc": True}}}
    [run] = load_runs([lm_eval_log(tmp_path, lines, results)])
    assert [problem.passed for problem in run.scores.values()] == [1, 0, 0, 0]
    assert any("less is better are left out: err" in text for text in run.results.cautions)


def test_a_sample_of_lm_eval_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    """It was taken for another sample of its problem, which lm-eval does not write."""
    lines = [{"doc_id": i, "acc": 1.0} for i in (1, 2, 1)]
    with pytest.raises(DataError, match="the sample '1' twice"):
        load_runs([lm_eval_log(tmp_path, lines)])


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
