from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest
from arena_rows import write_rows
from fake_sandbox import FakeSandbox
from test_resume import PROBLEMS, SlowModel, create_run

from recode_eval import report
from recode_eval.results import compute_results
from recode_eval.store import RESULTS, write_json

SCHEMA = Path(__file__).parent.parent / "recode_eval" / "schemas" / "results.schema.json"


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
