"""The JSON Schemas follow the types, and files of earlier versions are still read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from recode_eval.comparison.differences import compare
from recode_eval.errors import DataError
from recode_eval.metrics import metric
from recode_eval.run.results import estimates, with_current_intervals
from recode_eval.run.results_file import parse_results, read_run
from recode_eval.schemas.__main__ import schema_texts, stale
from recode_eval.schemas.base import decode
from recode_eval.schemas.verdict import VerdictFile

OLD = Path(__file__).parent / "run" / "results-2026-11.json"
"""What the program wrote before results had a typed model (commit da04b05)."""


def test_the_schemas_are_those_of_the_types() -> None:
    assert stale() == [], "python -m recode_eval.schemas writes them anew"


@pytest.mark.parametrize("name", sorted(schema_texts()))
def test_every_object_of_a_schema_is_described(name: str) -> None:
    schema = json.loads(schema_texts()[name])
    for part in (schema, *schema["$defs"].values()):
        assert part["description"]
    assert json.dumps(schema).count("description") > 20


def test_results_of_an_earlier_version_are_read_and_follow_from_their_counts() -> None:
    run = read_run(OLD)
    raw = json.loads(OLD.read_text())
    computed = estimates(run.results.problems, run.ks)
    assert list(computed) == list(raw["metrics"])
    for name, stored in raw["metrics"].items():
        found = computed[name]
        assert (found is None) == (stored is None)
        for part in () if stored is None else ("value", "problems", "clusters"):
            assert found[part] == pytest.approx(stored[part])  # type: ignore[index]
    assert [problem.to_json() for problem in run.results.problems] == raw["problems"]
    jsonschema.validate(raw, json.loads(schema_texts()["results.schema.json"]))
    [pair] = compare([(run, run)])
    assert pair.changes.fixed == pair.changes.broken == ()
    assert [text for text in pair.cautions if "unscored" not in text] == []


def test_intervals_of_an_earlier_rule_are_computed_again() -> None:
    """Beside today's intervals theirs would be too narrow near 0 and 100 %."""
    results = read_run(OLD).results
    renewed = with_current_intervals(results)
    ks = {k for name in results.metrics if (k := metric(name).k) is not None}
    for name, found in estimates(results.problems, ks | {1}, split=True).items():
        item = renewed.metrics.get(name)
        if item is None or found is None:
            continue
        assert (item.low, item.high, item.method) == (found["low"], found["high"], found["method"])
        assert item.value == results.metrics[name].value  # type: ignore[union-attr]
    assert renewed.problems is results.problems
    assert with_current_intervals(renewed) is renewed


def damaged(change: dict[str, Any]) -> str:
    raw = json.loads(OLD.read_text())
    place, (key, value) = raw, *change.items()
    *way, last = key.split(".")
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(DataError) as raised:
        parse_results(json.dumps(raw).encode(), "some/results.json")
    return str(raised.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"counts.samples": "many"}, "at counts.samples (Expected `int`, got `str`)"),
        ({"counts.samples": 10**400}, "at counts.samples"),
        ({"sampling": ...}, "missing required field `sampling`"),
        ({"problems.2.passed": 5}, "at problems[2] (5 of 4 samples)"),
        ({"problems.2.passed": True}, "at problems[2].passed"),
        ({"problems.0.es": 1.5}, "es of the problem"),
        ({"problems": []}, "it has no problems"),
        ({"counts.unscored": 999}, "999 of 24 samples are unscored"),
        ({"identity.data": ...}, "`identity` lacks data"),
        ({"identity.extra": 10**30}, "not finite or far too large"),
        ({"sandbox": {"tier": "x"}}, "`sandbox` lacks"),
        ({"invocations": []}, "at invocations"),
        ({"schema_version": 2}, "has schema version 2; this program knows 1"),
        ({"schema_version": None}, "has schema version None"),
    ],
)
def test_damage_is_named_with_its_place(change: dict[str, Any], said: str) -> None:
    message = damaged(change)
    assert message.startswith("some/results.json")
    assert said in message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[" * 100_000, b'{"a": NaN}', b"\xff\xfe"])
def test_what_is_no_results_file_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"some/results\.json"):
        parse_results(data, "some/results.json")


def test_lone_surrogates_are_read_wherever_a_model_may_put_them() -> None:
    """JSON has them as escapes, and the fast parser refuses the whole file."""
    raw = json.loads(OLD.read_text())
    raw["model"]["name"] = "b\ud800"
    raw["problems"][0]["tags"] = {"a": "\udfff"}
    run = parse_results(json.dumps(raw).encode(), "results.json")
    assert run.model == "b\ud800"
    raw["model"]["details"] = {"x": float("inf")}
    with pytest.raises(DataError, match="not finite"):
        parse_results(json.dumps(raw).encode(), "results.json")
    raw["model"]["details"] = {}
    raw["counts"]["\ud800"] = 1
    with pytest.raises(DataError):
        parse_results(json.dumps(raw).encode(), "results.json")


def test_a_section_reads_like_the_object_it_is() -> None:
    task = read_run(OLD).results.task
    assert task["name"] == task.name == dict(task.items())["name"] == {**task}["name"]
    assert task.get("nothing", "x") == "x"
    with pytest.raises(KeyError):
        task["__class__"]


def test_a_verdict_that_is_none_is_named_with_its_place() -> None:
    with pytest.raises(DataError, match=r"missing required field `schema_version`"):
        decode(b"{}", VerdictFile, "verdict.json")
