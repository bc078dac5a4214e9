"""The registry of metrics, and a similarity metric that is added to it, from records to exports."""

from __future__ import annotations

import csv
import doctest
import io
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from stored_runs import store_run

from recode_eval import cli, metrics
from recode_eval.comparison.differences import compare, metric_difference
from recode_eval.leaderboard.site import build
from recode_eval.metrics import Kind, MetricRegistry, TaskKind, metric
from recode_eval.run import grading
from recode_eval.run.results_file import read_run
from recode_eval.schemas.results import ProblemResult
from recode_eval.scoring.similarity import Similarity, similarity_scores

ROOT = Path(__file__).parents[1]


def test_the_examples_are_right() -> None:
    assert doctest.testmod(metrics).failed == 0


@pytest.mark.parametrize(
    ("name", "label", "k", "needs"),
    [
        ("pass@1", "pass@1", 1, "tests"),
        ("upass@10", "UPass@10", 10, "update"),
        ("base_pass@5", "pass@5 (base)", 5, "tests"),
        ("u_pass@2", "pass@2 (u)", 2, "tests"),
        ("stale_api", "stale API used", None, "nothing"),
        ("my_own_rate", "my own rate", None, "nothing"),
        ("pass@0", "pass@0", None, "nothing"),
    ],
)
def test_a_metric_is_found_by_its_name(name: str, label: str, k: int | None, needs: str) -> None:
    found = metric(name)
    assert (found.name, found.label, found.k, str(found.needs)) == (name, label, k, needs)


def test_every_similarity_that_is_scored_is_a_metric_and_the_other_way() -> None:
    assert {field.name for field in fields(Similarity)} == set(metrics.similarity_names())


def test_what_ranks_is_declared_once_for_each_kind_of_task() -> None:
    assert [metrics.primary(kind) for kind in TaskKind] == ["pass@1", "es"]
    second = metrics.similarity("other", "Other", primary=TaskKind.UNTESTED)
    with pytest.raises(ValueError, match="rank the same kind"):
        metrics.REGISTRY.with_metric(second)
    with pytest.raises(ValueError, match="one name"):
        metrics.REGISTRY.with_metric(metrics.similarity("es", "ES again"))


def test_values_are_never_shown_as_minus_nothing() -> None:
    assert [metric("pass@1").show(x, sign=True) for x in (-0.0001, 0.0, 0.012)] == [
        "0.0", "0.0", "+1.2",
    ]  # fmt: skip
    assert metric("es_star").show(-0.001) == "0.00"
    assert metric("es_star").show_interval(-2, 0.5) == "[-2.00, 0.50]"
    assert metric("es_star").show_interval(None, 0.5) == ""


def test_no_script_of_the_site_knows_a_metric_by_its_name() -> None:
    """What a metric is called and how it is shown came from two places, and they differed."""
    names = {item.name for item in metrics.REGISTRY.entries if isinstance(item, metrics.Metric)}
    for file in (ROOT / "leaderboard" / "static").glob("*.js"):
        text = file.read_text()
        assert "pass@1" not in text, file.name
        for name in names:
            assert f'"{name}"' not in text, (file.name, name)
            assert metric(name).label not in {"", *text.split('"')}, (file.name, name)


# A metric more ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MoreSimilarity(Similarity):
    length: float


def scored(candidate: str | None, reference: str, language: str = "python") -> MoreSimilarity:
    """The usual measures and one more: -1 for the same length as the reference, up to 1."""
    known = similarity_scores(candidate, reference, language)
    own = len(candidate or "") / max(len(candidate or ""), len(reference))
    values = {field.name: getattr(known, field.name) for field in fields(known)}
    return MoreSimilarity(**values, length=1 - 2 * own)


ADDED = metrics.similarity(
    "length", "Length", bounds=(-1.0, 1.0), scale=1, digits=3, higher_is_better=False
)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A run from before the metric was added, and two from after."""
    old = store_run(tmp_path / "runs", "old", lambda p, s: s < 1 + p % 3, problems=8, n=4)
    monkeypatch.setattr(metrics, "REGISTRY", metrics.REGISTRY.with_metric(ADDED))
    monkeypatch.setattr(grading, "similarity_scores", scored)
    return {
        "old": old,
        "new": store_run(tmp_path / "runs", "new", lambda p, s: s < p % 4, problems=8, n=4),
        "newer": store_run(tmp_path / "runs", "newer", lambda p, s: s < 1 + p % 3, problems=8, n=4),
    }


def test_an_added_similarity_goes_from_records_to_exports(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files say what it is, and nothing else needs to know; an old run has no value of it."""
    old, new, newer = (read_run(folder / "results.json") for folder in runs.values())
    # Results: by the schema as it is published, with bounds, estimate and breakdown.
    schema = json.loads((ROOT / "recode_eval/schemas/results.schema.json").read_text())
    raw = json.loads((runs["new"] / "results.json").read_text())
    jsonschema.validate(raw, schema)
    assert -1 <= raw["problems"][0]["similarity"]["length"] <= 1
    estimate = raw["metrics"]["length"]
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert new.metrics["length"].bounds == (-1.0, 1.0)
    assert "similarity" not in json.loads((runs["old"] / "results.json").read_text())["problems"][0]
    assert old.results.metrics.get("length") is None
    # Comparison: only where both have it.
    assert metric_difference(old, new, "length", 0.95) is None
    found = metric_difference(new, newer, "length", 0.95)
    assert found is not None
    assert not found.higher_is_better
    [pair] = compare([(new, newer)])
    assert "length" in {item.metric for item in pair.differences}
    assert cli.run(["compare", str(runs["new"]), str(runs["newer"]), "--markdown"]) == 0
    assert "`Length`" in capsys.readouterr().out
    # Leaderboard: a column of the download, a row of the model's page.
    assert build([tmp_path / "runs"], tmp_path / "site", reported=False).runs == 3
    rows = {row["model"]: row for row in table(tmp_path / "site" / "data" / "leaderboard.csv")}
    assert rows["old"]["length"] == rows["old"]["length_low"] == ""
    assert float(rows["new"]["length"]) == pytest.approx(estimate["value"])
    pages = [page.read_text() for page in (tmp_path / "site" / "models").glob("*.html")]
    assert sum(">Length<" in page for page in pages) == 2
    assert sum("EM*; Length: " in page or "Length: -1 to 1" in page for page in pages) == 3
    # Exports: the figures, and the samples.
    both = [str(runs["old"]), str(runs["new"])]
    assert cli.run(["export", *both, "--format", "csv", "--table", "metrics"]) == 0
    exported = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["model"] for row in exported if row["metric"] == "length"] == ["new"]
    assert cli.run(["export", *both, "--format", "csv", "--table", "samples"]) == 0
    samples = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["model"]: bool(row["length"]) for row in samples} == {"old": False, "new": True}
    assert cli.run(["export", both[1], "--format", "every-eval-ever"]) == 0
    [entry] = [
        item["metric_config"]
        for item in json.loads(capsys.readouterr().out)["evaluation_results"]
        if item["metric_config"]["metric_name"] == "Length"
    ]
    assert (entry["min_score"], entry["max_score"], entry["lower_is_better"]) == (-1, 1, True)


def test_a_metric_of_one_run_alone_is_said_to_be_left_out(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A metric that an older run does not have vanished from a comparison without a word."""
    assert cli.run(["compare", str(runs["old"]), str(runs["new"])]) == 0
    note = "Length: only the candidate has a value, so it is not compared"
    assert note in capsys.readouterr().out
    assert cli.run(["compare", str(runs["new"]), str(runs["old"]), "--json"]) == 0
    [pair] = json.loads(capsys.readouterr().out)["comparisons"]
    assert "Length: only the baseline has a value, so it is not compared" in pair["cautions"]
    assert cli.run(["compare", str(runs["new"]), str(runs["newer"]), "--json"]) == 0
    [pair] = json.loads(capsys.readouterr().out)["comparisons"]
    assert not any("Length" in text for text in pair["cautions"])
    assert cli.run(["compare", *map(str, runs.values()), "--metrics", "es,length"]) == 0
    assert capsys.readouterr().out.count(note) == 2


def test_a_metric_of_some_problems_says_of_how_many(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mean over three problems stood beside means over eight as if it were one of them."""
    from recode_eval.run.report import as_text
    from recode_eval.run.results import estimates

    file = runs["new"] / "results.json"
    raw = json.loads(file.read_text())
    for problem in raw["problems"][3:]:
        del problem["similarity"]["length"]
    parsed = msgspec.convert(raw["problems"], list[ProblemResult])
    raw["metrics"] = estimates(parsed, [1])
    assert raw["metrics"]["length"]["problems"] == 3
    file.write_text(json.dumps(raw))
    [note] = [
        line for line in as_text([{**raw, "folder": "f"}], 200).splitlines() if "averaged" in line
    ]
    assert note == "new: averaged over fewer problems: Length over 3 of 8."
    assert cli.run(["compare", str(runs["new"]), str(runs["newer"])]) == 0
    shown = capsys.readouterr().out
    assert "Length: compared over 3 of the 8 problems that both runs have a score of" in shown


def table(file: Path) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(file.read_text())))


def test_a_problem_whose_records_are_of_both_kinds_has_no_value(runs: dict[str, Path]) -> None:
    """A mean over the newer samples alone would be called a mean over all of them."""
    from recode_eval.run.records import ScoreRecord
    from recode_eval.run.results import _mean_similarity

    lines = [
        json.loads(line)
        for folder in (runs["old"], runs["new"])
        for line in (folder / "scores.jsonl").read_text().splitlines()[:2]
    ]
    records = [ScoreRecord.from_json(line) for line in lines]
    assert "length" not in _mean_similarity(records)
    assert "length" in _mean_similarity(records[2:])
    assert set(_mean_similarity(records)) == {"es", "em", "es_star", "em_star"}


def test_a_measure_of_a_task_is_last_and_cannot_replace_a_metric(runs: dict[str, Path]) -> None:
    problems = [
        msgspec.structs.replace(problem, measures={"own_rate": 0.5, "stale_api": 0.25})
        for problem in read_run(runs["old"] / "results.json").results.problems
    ]
    found = metrics.reported_metrics(problems, [1])
    assert list(found)[-2:] == ["own_rate", "stale_api"]
    assert not found["stale_api"].higher_is_better
    assert found["own_rate"].kind is Kind.MEASURE
    assert isinstance(metrics.REGISTRY, MetricRegistry)
