from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from arena_rows import write_rows
from fake_sandbox import FakeSandbox
from test_resume import PROBLEMS, SlowModel, create_run

from recode_eval.run import report
from recode_eval.run.results import compute_results
from recode_eval.run.store import RESULTS, write_json
from recode_eval.stats.estimates import IntervalMethod

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[2] / "recode_eval" / "schemas" / "results.schema.json"


@pytest.fixture
def results(tmp_path: Path) -> dict[str, object]:
    write_rows(tmp_path / "rows.jsonl", PROBLEMS)
    outcome = create_run(tmp_path).execute(SlowModel(tmp_path / "log"), FakeSandbox)
    return compute_results(outcome)


def test_results_follow_the_published_schema(results: dict[str, object], tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    write_json(tmp_path / RESULTS, results)
    jsonschema.validate(json.loads((tmp_path / RESULTS).read_text()), schema)


def test_the_schema_notices_a_missing_field(results: dict[str, object]) -> None:
    schema = json.loads(SCHEMA.read_text())
    for key in schema["required"]:
        broken = {k: v for k, v in results.items() if k != key}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_every_number_is_finite(results: dict[str, object]) -> None:
    """JSON has no NaN; a reader in another language would stop at one."""

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, float):
            assert math.isfinite(value)

    walk(results)


def outcome_of(
    folder: Path, passes: dict[tuple[int, int], tuple[bool, bool] | None], n: int = 2
) -> dict:
    """Results where sample (problem, index) passes with and without the update; None: unscored.

    An index that is missing has no code.
    """
    write_rows(folder / "rows.jsonl", 4)
    run = create_run(folder, n=n)
    outcome = run.execute(SlowModel(folder / "log"), FakeSandbox)
    ids = [problem.id for problem in outcome.problems]
    scores = {}
    for (problem_id, sample), record in outcome.scores.items():
        key = ids.index(problem_id), sample
        if key in passes and passes[key] is None:
            continue
        tests = {
            name: {"passed": passed, "tests": [["t", "passed" if passed else "failed", ""]]}
            for name, passed in zip(
                ("with_update", "without_update"), passes.get(key) or (), strict=False
            )
        }
        code = "x = 1" if key in passes else None
        scores[problem_id, sample] = replace(record, conditions=tests, code=code)
    return compute_results(replace(outcome, scores=scores), [1, 2])


def test_every_metric_has_its_own_denominator(tmp_path: Path) -> None:
    """Unscored samples are in no denominator, those without code in every one."""
    results = outcome_of(
        tmp_path,
        {
            (0, 0): (True, False), (0, 1): (True, True),
            (1, 0): (False, False),  # and (1, 1) has no code
            (2, 0): (True, False), (2, 1): None,
            (3, 0): None, (3, 1): None,
        },
    )  # fmt: skip
    values = {name: m and (m["value"], m["problems"]) for name, m in results["metrics"].items()}
    assert values["pass@1"] == (pytest.approx((1 + 0 + 1) / 3), 3)
    assert values["upass@1"] == (pytest.approx((0.5 + 0 + 1) / 3), 3)
    assert values["pass@2"] == (pytest.approx((1 + 0) / 2), 2)  # problem 2 has one sample graded
    assert values["upass@2"] == (pytest.approx((1 + 0) / 2), 2)
    assert values["pass_without_update"] == (pytest.approx((0.5 + 0 + 0) / 3), 3)
    assert values["test_rate"] == (pytest.approx((1 + 0 + 1) / 3), 3)
    assert values["no_code"] == (pytest.approx((0 + 0.5 + 0) / 3), 3)
    counts = results["counts"]
    assert (counts["samples"], counts["scored"], counts["unscored"]) == (8, 5, 3)
    assert [p["n"] for p in results["problems"]] == [2, 2, 1, 0]
    assert results["problems"][3]["test_rate"] is None
    groups = results["breakdown"]["update_type"].values()
    assert sum(group["problems"] for group in groups) == 4


def test_nothing_scored_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = outcome_of(tmp_path, {(p, s): None for p in range(4) for s in range(2)})
    assert set(results["metrics"].values()) == {None}
    assert results["counts"]["unscored"] == 8
    report.show([{**results, "folder": "here"}], as_json=False, quiet=False)
    assert "8 samples could not be graded" in capsys.readouterr().out


def test_a_lack_of_graded_samples_is_not_blamed_on_n(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said "n = 2 is less than k" of pass@2."""
    results = outcome_of(tmp_path, {(p, 1): None for p in range(4)})
    report.show([{**results, "folder": "here"}], as_json=False, quiet=False)
    expected = "no value for pass@2, UPass@2 (fewer than k samples were graded)"
    assert expected in capsys.readouterr().out


def test_the_breakdown_adds_up(results: dict) -> None:
    for groups in results["breakdown"].values():
        assert sum(group["problems"] for group in groups.values()) == PROBLEMS


def test_the_table_shows_value_and_interval(
    results: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    report.show([{**results, "folder": "here"}], as_json=False, quiet=False)
    output = capsys.readouterr().out
    assert "50.0" in output
    assert "no value for pass@5, pass@10, UPass@5, UPass@10 (n = 4 is less than k)" in output
    assert "\x1b" not in output


def test_estimates_are_shown_in_percent_with_their_interval() -> None:
    estimate = {"value": 0.625, "low": 0.5, "high": 0.75}
    assert report.format_estimate("pass@1", estimate) == "62.5 [50.0, 75.0]"
    assert report.format_estimate("es_star", estimate) == "0.62 [0.50, 0.75]"
    assert report.format_estimate("pass@1", {**estimate, "low": None}) == "62.5"
    assert report.format_estimate("pass@5", None) == "-"


@pytest.mark.parametrize("method", [IntervalMethod.ALL_EQUAL, "Clopper-Pearson on clusters"])
def test_equal_similarities_have_words(method: str) -> None:
    """ES* 2.00 [0.65, 2.00] from nine clusters looked like an interval around the value."""
    estimate = {"value": 2.0, "low": 0.65, "high": 2.0, "problems": 9, "method": method}
    assert report.format_estimate("es_star", estimate) == "2.00 (9 of 9 exact)"
    estimate |= {"value": -2.0, "low": -2.0, "high": -0.65}
    assert report.format_estimate("es_star", estimate) == "-2.00 (9 of 9 alike)"
    estimate |= {"value": 1.0, "low": 0.664, "high": 1.0}
    assert report.format_estimate("pass@1", estimate) == "100.0 [66.4, 100.0]"
    estimate |= {"value": 0.0, "low": 0.0, "high": 0.336}
    assert report.format_estimate("pass@1", estimate) == "0.0 [0.0, 33.6]"


def test_both_questions_are_answered_in_results(results: dict[str, Any]) -> None:
    """Only new samples of the same problems, or other problems: a factor of two in the error."""
    estimate = results["metrics"]["pass@1"]
    assert estimate["new_samples"]["estimand"] == "these problems, new samples"
    assert 0 <= estimate["new_samples"]["low"] <= estimate["value"]
    assert estimate["value"] <= estimate["new_samples"]["high"] <= 1
    assert results["metrics"]["es"].get("new_samples") is None
    text = report.as_text([{**results, "folder": "f"}], 200)
    assert "problems like these" in text
    assert "these problems, new samples [" in text


def test_the_table_says_over_how_many_problems_each_row_is(results: dict[str, Any]) -> None:
    """pass@1 was over 200 problems and pass@5 over 183, and the table did not say so."""
    fewer = {**results["metrics"]["pass@1"], "problems": 183}
    shown = {**results, "folder": "f", "metrics": {**results["metrics"], "pass@5": fewer}}
    lines = report.as_text([shown], 200).splitlines()
    (row,) = [line for line in lines if line.startswith("pass@5")]
    assert row.rstrip().endswith("183")
    (row,) = [line for line in report.as_text([shown, {**results, "folder": "f"}], 200).splitlines()
              if line.startswith("pass@5")]  # fmt: skip
    assert "183, " in row


def test_hostile_names_are_spelt_out(results: dict, capsys: pytest.CaptureFixture[str]) -> None:
    """A model's name or a package in a data file could move the cursor or recolour the screen."""
    evil = "\x1b[2J\u202e\x07evil"
    hostile = json.loads(json.dumps(results).replace("textwrap", json.dumps(evil)[1:-1]))
    hostile["breakdown"]["package"]["other"] = hostile["breakdown"]["package"][evil]
    hostile["model"]["name"] = evil
    report.show([{**hostile, "folder": "here"}], as_json=False, quiet=False)
    output = capsys.readouterr().out
    assert "\\x1b[2J" in output
    assert not set(output) & {"\x1b", "\u202e", "\x07"}


def with_split(folder: Path, reasons: list[str], isolation: str = "split") -> dict:
    """Results where the first scored samples ran in one process with their tests, each for one."""
    folder.mkdir(exist_ok=True)
    write_rows(folder / "rows.jsonl", 30)
    outcome = create_run(folder, n=1).execute(SlowModel(folder / "log"), FakeSandbox)
    scores = dict(outcome.scores)
    for (key, record), reason in zip(outcome.scores.items(), reasons, strict=False):
        conditions = {
            name: {**content, **({"unsplit": reason} if reason else {})}
            for name, content in record.conditions.items()
        }
        scores[key] = replace(record, conditions=conditions)
    first = next(iter(scores))
    scores[first] = replace(scores[first], conditions={})  # no code: no tests ran
    scoring = {**outcome.manifest["scoring"], "isolation": isolation}
    return compute_results(
        replace(outcome, scores=scores, manifest={**outcome.manifest, "scoring": scoring})
    )


def test_samples_that_shared_a_process_with_their_tests_are_counted_with_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads results must see how many answers could reach their own tests."""
    reasons = ["", *(f"reason {i}" for i in range(22)), "often", "often", ""]
    results = with_split(tmp_path, reasons)
    split = results["split"]
    assert (split["split"], split["unsplit"]) == (30 - 1 - 24, 24)
    assert split["reasons"][0] == {"reason": "often", "samples": 2}
    assert len(split["reasons"]) == 20
    jsonschema.validate(json.loads(json.dumps(results)), json.loads(SCHEMA.read_text()))
    report.show([{**results, "folder": "here"}], as_json=False, quiet=False)
    said = capsys.readouterr().out
    listed = "; ".join(f"1: reason {i}" for i in range(4))
    text = f"24 answers ran in one process with their tests (2: often; {listed}; 18: other reasons)"
    assert text in said
    assert "could reach their tests" not in said


def test_nothing_is_said_of_splitting_where_nothing_is_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_split(tmp_path / "program", ["", "why"], "program")["split"] is None
    results = with_split(tmp_path / "split", [])
    assert results["split"] == {"split": 29, "unsplit": 0, "reasons": []}
    report.show([{**results, "folder": "here"}], as_json=False, quiet=False)
    assert "ran in one process" not in capsys.readouterr().out


@pytest.mark.parametrize("isolation", ["program", "test"])
def test_an_isolation_within_the_reach_of_answers_is_noted_once(
    isolation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing told that answers shared a process with their tests: a cheat passed unremarked."""
    results = with_split(tmp_path, ["why"], isolation)
    report.show([{**results, "folder": "here"}], as_json=False, quiet=False)
    said = capsys.readouterr().out
    assert said.count("could reach their tests") == 1
    assert f"the isolation is {isolation}, so answers could reach their tests" in said
    problems = [{**problem, "passed": None} for problem in results["problems"]]
    report.show([{**results, "problems": problems, "folder": "x"}], as_json=False, quiet=False)
    assert "could reach their tests" not in capsys.readouterr().out
