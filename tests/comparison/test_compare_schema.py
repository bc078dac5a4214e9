"""The JSON Schema of `recode-eval compare --json`, against what the command prints."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from stored_runs import edit_results, store_run

from recode_eval import cli

SCHEMAS = Path(__file__).parents[2] / "recode_eval" / "schemas"
SCHEMA = json.loads((SCHEMAS / "compare.schema.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Baseline, a better one, an equal one (no spread), one with other settings and gaps."""
    out = tmp_path_factory.mktemp("compare-schema")
    small = {"n": 4, "problems": 8}

    def some(problem: int, sample: int) -> bool:
        return sample < 2 + problem % 3

    made = [
        store_run(out, "a", some, **small),
        store_run(out, "b", lambda p, s: s < 1 + p % 4, **small),
        store_run(out, "c", some, **small),
        store_run(out, "d", lambda p, s: None if p == 3 else s < 2, temperature=0.1, **small),
    ]
    edit_results(made[1], lambda r: r["model"].update(name="b\ud800\x1b[31m"))
    return made


@pytest.fixture
def printed(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.run(["compare", *map(str, runs), "--json", "--confidence", "0.9"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_output_follows_the_schema(printed: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(printed)
    assert [item["candidate"]["n"] for item in printed["comparisons"]] == [4, 4, 4]
    assert printed["comparisons"][2]["cautions"]


def test_every_key_of_the_output_is_described(printed: dict[str, Any]) -> None:
    """A new key without a description would stay unknown to whoever reads the schema."""
    strict = copy.deepcopy(SCHEMA)
    _close(strict)
    jsonschema.Draft202012Validator(strict).validate(printed)


def _close(part: Any) -> None:
    if isinstance(part, dict):
        if "properties" in part:
            part["additionalProperties"] = False
        for value in part.values():
            _close(value)
    elif isinstance(part, list):
        for value in part:
            _close(value)


def test_a_missing_key_is_found(printed: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for place in (
        lambda x: x,
        lambda x: x["comparisons"][0],
        lambda x: x["comparisons"][0]["baseline"],
        lambda x: x["comparisons"][0]["metrics"][0],
    ):
        for key in place(printed):
            broken = copy.deepcopy(printed)
            del place(broken)[key]
            assert not validator.is_valid(broken), key


@pytest.mark.parametrize("file", sorted(SCHEMAS.glob("*.json")), ids=lambda file: file.name)
def test_the_schemas_are_schemas(file: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(file.read_text()))
