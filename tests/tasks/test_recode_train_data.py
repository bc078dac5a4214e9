"""The task `recode-train-data`: rows without tests, scored by similarity, without any sandbox."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_line import failed, recode_eval

from recode_eval.errors import DataError, ExitCode
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.validate import expectations
from recode_eval.sandbox.base import Limits, Program, SandboxUnavailableError
from recode_eval.sandbox.null import NullSandbox
from recode_eval.tasks.base import TaskData
from recode_eval.tasks.registry import create_task

SCHEMA = Path(__file__).parents[2] / "recode_eval" / "schemas" / "results.schema.json"
OLD = "import numpy as np\n\n\ndef common(a, b):\n    return a[np.in1d(a, b)]\n"
NEW = "import numpy as np\n\n\ndef common(a, b):\n    return a[np.isin(a, b)]\n"


def row(**changes: Any) -> dict[str, Any]:
    content = {
        "dependency": "numpy",
        "new_version": "==2.4.0",
        "description": "Which of the first tags occur among the second.",
        "update_info": "The function in1d is gone; isin does the same.",
        "old_code": OLD,
        "new_code": NEW,
        **changes,
    }
    return {key: value for key, value in content.items() if value is not ...}


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    return str(path)


def load(tmp_path: Path, *rows: dict[str, Any], skip: bool = False) -> TaskData:
    task = create_task("recode-train-data")
    return task.load(write(tmp_path / "rows.jsonl", *rows), skip_bad_rows=skip)


def evaluate(tmp_path: Path, model: str, *options: str) -> Any:
    """Run the command where no sandbox of any kind could be opened."""
    rows = [row(), row(dependency="pandas", new_version="", description=""), row()]
    file = write(tmp_path / "rows.jsonl", *rows)
    bare = {"PATH": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent", "HOME": str(tmp_path)}
    return recode_eval(
        *("--model", model, "--tasks", "recode-train-data", "--data", f"recode-train-data={file}"),
        *("--out", str(tmp_path / "runs"), *options),
        env={**os.environ, **bare},
    )


@pytest.mark.parametrize("tier", ["auto", "docker"])
def test_the_reference_scores_at_the_top_without_a_sandbox(tmp_path: Path, tier: str) -> None:
    result = evaluate(tmp_path, "baseline:reference", "--json", "--sandbox", tier)
    assert result.returncode == ExitCode.OK, result.stderr
    printed = json.loads(result.stdout)
    assert {name: m["value"] for name, m in printed["metrics"].items()} == {
        "no_code": 0, "es": 1, "em": 1, "es_star": 2, "em_star": 2,
    }  # fmt: skip
    assert printed["sandbox"]["tier"] == "no execution"
    assert {p["passed"] for p in printed["problems"]} == {None}
    assert {p["test_rate"] for p in printed["problems"]} == {None}
    assert list(printed["breakdown"]["dependency"]) == ["numpy", "pandas"]
    del printed["folder"]
    jsonschema.validate(printed, json.loads(SCHEMA.read_text()))
    again = evaluate(tmp_path, "baseline:reference", "--sandbox", tier)
    assert "All 3 samples are already generated and graded" in again.stderr
    assert "without execution" in again.stdout
    assert "pass@" not in again.stdout


def test_the_old_code_is_similar_but_not_equal(tmp_path: Path) -> None:
    result = evaluate(tmp_path, "baseline:stale", "--json")
    metrics = json.loads(result.stdout)["metrics"]
    assert metrics["em"]["value"] == 0
    assert 0.9 < metrics["es"]["value"] < 1
    assert metrics["em_star"]["value"] == -1.5
    empty = json.loads(evaluate(tmp_path, "baseline:empty", "--json").stdout)["metrics"]
    assert empty["no_code"]["value"] == 1
    assert empty["es_star"]["value"] == -2


def test_a_finished_run_is_scored_again_without_a_sandbox(tmp_path: Path) -> None:
    evaluate(tmp_path, "baseline:reference")
    (folder,) = tmp_path.glob("runs/*/*")
    result = recode_eval(
        "score", str(folder), "--all", "--json", "--sandbox", "docker",
        env={"DOCKER_HOST": "unix:///nonexistent"},
    )  # fmt: skip
    assert result.returncode == ExitCode.OK, result.stderr
    assert json.loads(result.stdout)["metrics"]["em"]["value"] == 1


def test_validation_has_nothing_to_execute(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", row(), row(old_code=NEW), row(new_code="def f(:"))
    result = recode_eval(
        *("validate", "--tasks", "recode-train-data", "--data", f"recode-train-data={file}"),
        env={"PATH": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent"},
    )
    assert result.returncode == ExitCode.CHECK_FAILED, result.stderr
    assert "1 of 3 problems are sound" in result.stdout
    assert "no tests to execute" in result.stdout
    assert "old_code and new_code are the same" in result.stdout
    assert "new_code is not Python" in result.stdout
    good = write(tmp_path / "rows.jsonl", row())
    result = recode_eval(
        *("validate", "--tasks", "recode-train-data", "--data", f"recode-train-data={good}")
    )
    assert result.returncode == ExitCode.OK, result.stderr


def test_ids_follow_from_the_content(tmp_path: Path) -> None:
    """The data has no ids: order and other rows must not change them, and copies stay apart."""
    first = load(tmp_path, row(), row(dependency="scipy"), row())
    second = load(tmp_path, row(dependency="scipy"), row(), row(description="x"))
    ids = [p.id for p in first.problems]
    assert ids[2] == f"{ids[0]}-2"
    assert [p.id for p in second.problems][:2] == [ids[1], ids[0]]
    assert len({p.id for p in second.problems}) == 3
    assert len({p.cluster for p in first.problems}) == 2
    assert first.problems[0].cluster == second.problems[1].cluster == second.problems[2].cluster
    assert first.content_hash != second.content_hash


def test_what_a_problem_holds(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, row()).problems
    assert problem.solutions == {"reference": NEW, "stale": OLD}
    assert problem.context["new_version"] == "2.4.0"
    task = create_task("recode-train-data")
    assert task.programs(problem, NEW) == {}
    assert list(expectations(task, problem)) == []


@pytest.mark.parametrize("note", [True, False])
@pytest.mark.parametrize("lacking", [(), ("new_version", "description")])
def test_the_prompt(tmp_path: Path, note: bool, lacking: tuple[str, ...]) -> None:
    task = create_task("recode-train-data")
    (problem,) = load(tmp_path, row(**dict.fromkeys(lacking, ""))).problems
    template = PromptTemplate.from_file(task.spec.prompts["recode"].path)
    prompt = template.render({**problem.context, "update_note": note})
    text = prompt.messages[-1].content
    assert f"```python\n{OLD.rstrip()}" in text
    assert NEW not in text
    assert ("in1d is gone" in text) is note
    assert ("<doc>" in text) is note
    assert ("2.4.0" in text) is not bool(lacking)
    assert ("What the program does" in text) is not bool(lacking)
    assert prompt.prefill.endswith("<think>")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dependency": ...}, "dependency is missing"),
        ({"dependency": "a b"}, "must be a library's name"),
        ({"new_version": 2.4}, "new_version is of type float"),
        ({"update_info": ""}, "update_info is empty"),
        ({"old_code": None}, "old_code is missing"),
        ({"new_code": ["x"]}, "new_code is of type list"),
        ({"new_code": "\ud800"}, "lone surrogate"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"row 2 of rows\.jsonl: .*{message}"):
        load(tmp_path, row(), row(**changes))
    assert len(load(tmp_path, row(), row(**changes), skip=True).problems) == 1


def test_a_program_is_refused_where_there_is_no_sandbox() -> None:
    with NullSandbox() as sandbox, pytest.raises(SandboxUnavailableError, match="no sandbox"):
        sandbox.submit(Program("", "", ()), Limits())


@pytest.mark.slow
def test_without_data_the_error_says_how_to_give_some(tmp_path: Path) -> None:
    result = recode_eval(
        *("--model", "baseline:reference", "--tasks", "recode-train-data"),
        *("--out", str(tmp_path)),
        env={"HF_HOME": str(tmp_path)},
    )
    failed(result, ExitCode.UNAVAILABLE, "--data recode-train-data=FILE")
