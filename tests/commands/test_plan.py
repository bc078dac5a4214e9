"""`recode-eval plan`: from runs, from a task, from assumptions; table, JSON and chart."""

from __future__ import annotations

import json
import random
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from stored_runs import store_run

from recode_eval import cli
from recode_eval.gating.plans import chance_notes, chance_text, noise_of, variation_between
from recode_eval.gating.policy import Policy, load_policy
from recode_eval.run.results_file import read_run
from recode_eval.schemas.__main__ import schema_texts

pytestmark = pytest.mark.slow


def rates(problem: int, sample: int, name: str) -> bool:
    """Tell whether a sample is right: three kinds of problems, a tenth moves with the name."""
    rate = (0.9, 0.5, 0.1)[problem % 3]
    if random.Random(f"{name} {problem}").random() < 0.1:
        rate = 1 - rate
    return random.Random(f"{name} {problem} {sample}").random() < rate


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("plan")
    one, two = (
        store_run(out, name, lambda p, s, name=name: rates(p, s, name), problems=80)
        for name in ("one", "two")
    )
    return one, two


def planned(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    assert cli.run(["plan", *map(str, words), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    jsonschema.validate(content, json.loads(schema_texts()["plan.schema.json"]))
    return content


def test_two_runs_show_their_variances(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    content = planned(capsys, *runs, "--n", "5,10", "--seed-sd", "2")
    assert (content["problems"], content["clusters"], content["source"]) == (80, 40, "both runs")
    assert content["noise"] == pytest.approx(0.14, abs=0.03)
    assert 0 < content["change"] < 0.15
    assert [row["n"] for row in content["samples"]] == [5, 10, None]
    errors = [row["standard_error"] for row in content["samples"]]
    assert errors == sorted(errors, reverse=True)
    assert content["margin"] == 0.03
    assert content["smallest_margin"] == pytest.approx(1 - 0.05 ** (1 / 40))
    assert content["seeds"]["n"] == 10
    # The run itself has this standard error: the plan of the same problems must agree.
    a, b = (read_run(folder / "results.json") for folder in runs)
    from recode_eval.comparison.differences import standard_error

    assert errors[1] == pytest.approx(standard_error(a, b, "pass@1"), rel=0.15)


def test_one_run_shows_its_noise(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    content = planned(capsys, runs[0], "--margin", "8", "--n", "10")
    run = read_run(runs[0] / "results.json")
    assert content["noise"] == noise_of(run)
    assert "assumed" in content["source"]
    assert content["margin"] == 0.08


def test_a_task_or_numbers_suffice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    content = planned(capsys, "--task", "arena-mini", "--n", "10")
    assert (content["problems"], content["clusters"], content["margin"]) == (96, 48, 0.09)
    assert content["samples"][0]["pass_if_equal"] > 0.75
    content = planned(capsys, "--problems", 300, "--clusters", 100, "--rate", 0.9, "--n", 4)
    assert (content["rate"], content["task"]) == (0.9, None)
    assert content["samples"][0]["problems_for_target"] > 300


def test_the_table_and_the_chart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "plan.svg"
    words = ["plan", "--problems", "100", "--clusters", "50", "--n", "10", "--seed-sd", "3"]
    assert cli.run([*words, "--plot", str(file)]) == 0
    out = capsys.readouterr().out
    assert "any number" in out
    assert "The smallest margin that 50 clusters can decide: 5.8 points" in out
    assert "no number of trainings finds it" in out
    root = ET.fromstring(file.read_text())
    assert root.tag.endswith("svg")
    assert len(root.findall("{*}polyline")) == 2


def test_a_text_never_rounds_a_chance_up_to_the_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It said "more samples do not (80 % with any number)" where 80 % was wanted."""
    assert [chance_text(x) for x in (0.8, 0.79999, 0.795, 0.794, 0.6999, 0.7)] == [
        "80 %", "79.9 %", "79.5 %", "79 %", "69.9 %", "70 %",
    ]  # fmt: skip
    content = planned(
        capsys, "--problems", 96, "--clusters", 48, "--rate", 0.5, "--margin", 9, "--n", 60
    )
    assert "more samples do not" in content["advice"]
    assert "80 % with any number" not in content["advice"]
    # 9.04 points are more than the 9 that do not do.
    assert content["margin"] < content["samples"][0]["margin_for_target"] < 0.0925
    assert "a margin of 9.0 points" not in content["advice"]
    content = planned(
        capsys, "--problems", 96, "--clusters", 48, "--rate", 0.005, "--margin", 9, "--n", "2,50"
    )
    assert [row["pass_if_equal"] for row in content["samples"]] == pytest.approx([1] * 3, abs=0.01)
    assert all(row["margin_for_target"] <= 0.09 for row in content["samples"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Give a RUN"),
        (["--task", "arena-mini", "--problems", "3"], "--task has its own problems"),
        (["--problems", "3", "--clusters", "4"], "not more than problems"),
        (["--problems", "300", "--margin", "0"], "not between 0 and 100"),
        (["RUN", "--rate", "0.5"], "--rate: the run has this"),
        (["RUN", "RUN", "RUN"], "one or two runs"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str], message: str, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(runs[0]) if word == "RUN" else word for word in words]
    assert cli.run(["plan", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_gate_warns_where_an_equal_model_seldom_passes(runs: tuple[Path, Path]) -> None:
    a, b = (read_run(folder / "results.json") for folder in runs)
    (note,) = chance_notes(a, b, load_policy())
    assert "passes this gate in only" in note
    assert "more samples do not" in note
    # Below what 40 clusters can decide, which is why.
    assert "below the smallest that 40 clusters can decide (7.2 points; 99 clusters could)" in note
    assert chance_notes(a, b, Policy({"default": {"pass@1": 30.0}})) == []
    assert variation_between(a, a).change == 0
