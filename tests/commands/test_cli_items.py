"""`recode-eval items`: problems that are worth a look are named, and no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from stored_runs import edit_results, store_run

from recode_eval import UsageError, cli
from recode_eval.comparison.items import FEWEST_MODELS, Flag, screen
from recode_eval.run.results_file import load_every_run

MODELS = 8


def solved(model: int, problem: int, seed: int = 0) -> int:
    """How many of ten samples pass: 0 never, 1 always, 2 turned around, others by skill."""
    draws = np.random.default_rng([model, problem, seed])
    skill = (model + 1) / (MODELS + 1)
    chance = {0: 0.0, 1: 1.0, 2: 1 - skill}.get(problem, skill)
    return int(draws.binomial(10, chance))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("items")
    return [
        store_run(out, f"m{m}", lambda p, s, m=m: s < solved(m, p), problems=20)
        for m in range(MODELS)
    ]


def flags(paths: list[Path]) -> dict[int, tuple[Flag, ...]]:
    [found] = screen(load_every_run(paths))
    return {int(item.id.rpartition("-")[2].rstrip("]")): item.flags for item in found.flagged}


def test_problems_are_named_for_what_they_are(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = flags(runs)
    assert found[0] == (Flag.NEVER,)
    assert found[1] == (Flag.ALWAYS,)
    assert found[2] == (Flag.NEGATIVE,)
    assert len(found) == 3
    assert cli.run(["items", *map(str, runs), "--json"]) == 0
    [task] = json.loads(capsys.readouterr().out)["tasks"]
    assert task["counts"] == {
        "never solved": 1, "always solved": 1, "better models solve it less often": 1,
        "repeats of one model disagree": 0,
    }  # fmt: skip
    by_id = {item["id"]: item for item in task["items"]}
    assert (
        sorted(item["correlation"] is None for item in by_id.values()) == [False] * 18 + [True] * 2
    )
    assert cli.run(["items", *map(str, runs)]) == 0
    shown = capsys.readouterr().out
    assert "20 problems, 8 models, 8 runs: 1 never solved" in shown


def test_chance_is_no_reason(tmp_path: Path) -> None:
    """Equal models: correlations scatter around zero, and none is certainly below."""
    draws = np.random.default_rng(3).random((MODELS, 40, 10))
    paths = [
        store_run(tmp_path, f"m{m}", lambda p, s, m=m: bool(draws[m, p, s] < 0.5))
        for m in range(MODELS)
    ]
    assert flags(paths) == {}


def test_few_models_have_no_correlation(runs: list[Path]) -> None:
    few = runs[: FEWEST_MODELS - 1]
    [found] = screen(load_every_run(few))
    assert all(item.correlation is None for item in found.items)
    assert "need 5 models" in found.sentence
    [alone] = screen(load_every_run(runs[:1]))
    assert alone.sentence.startswith("20 problems, 1 model, 1 run: ")


def test_repeats_that_disagree_are_unstable(tmp_path: Path) -> None:
    first = store_run(tmp_path, "m", lambda p, s: s < 5, seed=0)
    second = store_run(tmp_path, "m", lambda p, s: s < (5, 10)[p == 7], seed=1)
    third = store_run(tmp_path, "m", lambda p, s: s < (5, 0)[p == 7], seed=2)
    assert flags([first, second, third]) == {7: (Flag.UNSTABLE,)}
    greedy = [
        store_run(
            tmp_path / "g", "m", lambda p, _, k=k: p != 3 or k == 1, n=1, temperature=0, seed=k
        )
        for k in range(2)
    ]
    assert flags(greedy)[3] == (Flag.UNSTABLE,)


def test_other_data_are_other_items(runs: list[Path], tmp_path: Path) -> None:
    other = store_run(tmp_path, "m", lambda *_: True, problems=12)
    with pytest.raises(UsageError, match="have other items: the data"):
        screen(load_every_run([runs[0], other]))


def test_another_isolation_is_another_grading(runs: list[Path], tmp_path: Path) -> None:
    """With a rule of its own, the isolation no longer counted as rules of grading here."""
    other = tmp_path / "copy"
    shutil.copytree(runs[1], other)
    edit_results(other, lambda r: r["scoring"].update(isolation="split", hash="0" * 64))
    with pytest.raises(UsageError, match="have other items: the isolation differs"):
        screen(load_every_run([runs[0], other]))


def test_hostile_names_are_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store_run(tmp_path, "m", lambda *_: True, problems=2)
    edit_results(folder, lambda r: r["problems"][0].update(id="\x1b[2J[red]x"))
    assert cli.run(["items", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]x" in shown
