"""Comparisons of trainings: whole ones with tiny models, what is refused, and how seeds count."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from compare_training import small_comparison, vary_rewards

from recode_eval.comparison.pooling import Change, Scope
from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.schemas.results import ProblemResult
from recode_train.comparing.configs import arm_configs
from recode_train.comparing.differences import Differences, differences
from recode_train.comparing.settings import CompareConfig, EvaluationSettings
from recode_train.progress import TrainEvent

if TYPE_CHECKING:
    from pathlib import Path


def plan(tmp_path: Path, **changes: Any) -> CompareConfig:
    return CompareConfig(**{"model": "m", "out": tmp_path, **changes})


def test_unknown_arms_have_a_hint(tmp_path):
    with pytest.raises(UsageError, match="Did you mean grpo"):
        plan(tmp_path, arms=("base", "grppo"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": ("base",)}, "No arm to train"),
        ({"arms": ("sft", "sft")}, "One arm occurs twice"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 1)}, "One seed occurs twice"),
        ({"arms": ("sft",), "presets": {"grpo": "paper-grpo"}}, "not among the arms"),
        ({"evaluated": EvaluationSettings(tasks=())}, "at least one task"),
        ({"evaluated": EvaluationSettings(tasks=("a", "a=x.jsonl"))}, "One task occurs twice"),
        ({"evaluated": EvaluationSettings(samples=-1)}, "at least 0"),
    ],
)
def test_what_makes_no_comparison_is_refused(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        plan(tmp_path, **changes)


def test_settings_of_one_arm_and_of_all(tmp_path):
    configs = arm_configs(
        plan(tmp_path, overrides=("learning_rate=0.5", "grpo.learning_rate=0.25")), 7
    )
    assert {arm: c.learning_rate for arm, c in configs.items()} == {
        "sft": 0.5,
        "grpo": 0.25,
        "dapo": 0.5,
    }
    assert {c.seed for c in configs.values()} == {7}
    assert configs["dapo"].output.endswith("arms/dapo-seed7")


def test_arms_with_other_prompts_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"max_prompt_length is .* not comparable"):
        arm_configs(plan(tmp_path, overrides=("sft.max_prompt_length=9",)), 1)


def test_a_setting_of_an_absent_arm_is_refused(tmp_path):
    with pytest.raises(UsageError, match="sft is not among the arms"):
        arm_configs(plan(tmp_path, arms=("grpo",), overrides=("sft.max_steps=9",)), 1)


@pytest.mark.parametrize(
    "text", ["seed=5", "sft.seed=5", "data=other", "model=other", "grpo.output=o", "pairs=ids.json"]
)
def test_what_the_comparison_sets_itself_is_not_dropped_in_silence(tmp_path, text):
    """`--set seed=5` and `--set data=other` were accepted and had no effect."""
    with pytest.raises(UsageError, match=rf"--set {text}: the comparison sets .* itself"):
        arm_configs(plan(tmp_path, arms=("sft", "grpo"), overrides=(text,)), 1)


def test_an_evaluation_of_other_weights_is_not_taken(tmp_path, monkeypatch):
    """An arm trained again kept its first figures: only the folder was looked at."""
    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.options import ModelOptions
    from recode_train.comparing import evaluating

    model = tmp_path / "final"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"one")
    files = dict(resolve_checkpoint(str(model), ModelOptions()).model.identity)
    stored = SimpleNamespace(
        task="migration",
        results=SimpleNamespace(
            counts=SimpleNamespace(unscored=0),
            identity={"model": {"backend": "x", "model": {**files, "path": "/moved"}}},
        ),
    )
    monkeypatch.setattr(evaluating, "stored_runs", lambda _: [stored])
    found = evaluating.Evaluations(plan(tmp_path), {"migration": "recode"}, lambda _: None)
    assert found.run("migration", str(model), tmp_path / "runs", {}) is stored
    (model / "model.safetensors").write_bytes(b"two")
    with pytest.raises(UsageError, match="evaluation of other weights"):
        found.run("migration", str(model), tmp_path / "runs", {})


def test_every_evaluation_gets_the_chosen_problems(tmp_path, monkeypatch):
    """Only the first problems could be asked for: those of the first libraries."""
    from recode_train.commands import compare
    from recode_train.comparing import evaluating

    parser = argparse.ArgumentParser()
    compare.add_parser(parser)
    words = ["--model", "a/model", "--out", str(tmp_path), "--problems", "click-*,rich-"]
    config = compare.read_config(parser.parse_args(words))
    asked = []
    monkeypatch.setattr(evaluating, "_evaluate_on", asked.append)
    found = evaluating.Evaluations(config, {"migration": "recode"}, lambda _: None)
    with pytest.raises(AssertionError):  # nothing was evaluated
        found.run("migration", config.model, tmp_path / "runs", {})
    assert [tuple(one.problems) for one in asked] == [("click-*", "rich-")]


def results(values: list[float]) -> list[ProblemResult]:
    """Results with two samples of problems p0, p1, ...; each its own cluster, of two kinds."""
    return [
        ProblemResult(
            id=f"p{i}", cluster=f"c{i}", tags={"kind": "odd" if i % 2 else "even"},
            n=2, passed=int(2 * value), passed_without_update=0, needed_update=int(2 * value),
            test_rate=value, no_code=0, es=value, em=value, es_star=value, em_star=value,
            faulty=None,
        )
        for i, value in enumerate(values)
    ]  # fmt: skip


def compared(**arms: list[list[float]]) -> Differences:
    return differences(
        {("t", "sampled"): {arm: [results(one) for one in runs] for arm, runs in arms.items()}}
    )


def change(found: Differences, arm: str, reference: str = "base") -> Change:
    (item,) = [
        item for item in found.differences
        if (item.arm, item.reference, item.metric) == (arm, reference, "pass@1")
    ]  # fmt: skip
    assert item.change is not None
    return item.change


def test_seeds_are_averaged_before_pairing() -> None:
    """Twice the seeds are not twice the problems: the same seed again changes no interval."""
    base, arm = [0.0, 0, 1, 0], [1.0, 0, 1, 1]
    once = change(compared(base=[base], grpo=[arm]), "grpo")
    twice = change(compared(base=[base], grpo=[arm, arm]), "grpo")
    for name in ("value", "low", "high", "p"):
        assert getattr(once, name) == pytest.approx(getattr(twice, name))
    assert (once.scope, twice.scope) == (Scope.TRAININGS, Scope.METHODS)
    assert once.value == pytest.approx(0.5)
    assert once.problems == 4


def test_every_two_arms_are_compared() -> None:
    found = compared(base=[[0, 0.5]], sft=[[0.5, 1]], grpo=[[1, 1]], dapo=[[0.5, 0.5]])
    pairs = {(item.reference, item.arm) for item in found.differences}
    assert pairs == {
        ("base", "sft"), ("base", "grpo"), ("base", "dapo"), ("sft", "grpo"), ("sft", "dapo"),
        ("grpo", "dapo"),
    }  # fmt: skip
    assert change(found, "grpo", "sft").value == pytest.approx(0.25)
    assert change(found, "dapo", "sft").value == pytest.approx(-0.25)


def test_all_differences_are_adjusted_together() -> None:
    spread = [[0.0, 0.5, 0, 0.5, 0, 1, 0, 0.5], [0.5, 1, 0, 1, 0.5, 1, 0.5, 1]]
    alone = change(compared(base=[spread[0]], sft=[spread[1]]), "sft")
    among = change(compared(base=[spread[0]], sft=[spread[1]], grpo=[spread[0]]), "sft")
    assert alone.p == among.p
    assert alone.p is not None
    assert among.p_holm is not None
    assert among.p_holm > (alone.p_holm or 0) >= alone.p


def test_the_primary_metric_is_adjusted_apart_from_the_others() -> None:
    """Together with four more metrics, an effect in pass@1 was found half as often as alone."""
    spread = [[0.0, 0.5, 0, 0.5, 0, 1, 0, 0.5], [0.5, 1, 0, 1, 0.5, 1, 0.5, 1]]
    runs = {"base": [results(spread[0])], "sft": [results(spread[1])]}
    both = {("t", "sampled"): runs, ("t", "greedy"): runs}
    for primary, name in ((None, "pass@1"), ("es_star", "es_star")):
        found = differences(both, primary, "sampled")
        deciding = [item for item in found.differences if item.primary]
        assert {(item.metric, item.sampling) for item in deciding} == {(name, "sampled")}
        assert found.values[0].metric == name
        (item,) = deciding
        assert item.change is not None
        assert item.change.p_holm == item.change.p
        others = [i.change for i in found.differences if not i.primary and i.change is not None]
        assert any((c.p_holm or 0) > (c.p or 0) for c in others)


def test_what_each_seed_came_to_is_kept() -> None:
    found = compared(base=[[0, 0]], sft=[[1, 0], [1, 1]])
    (value,) = [v for v in found.values if v.arm == "sft" and v.metric == "pass@1"]
    assert value.seeds == (0.5, 1.0)
    assert value.estimate is not None
    assert value.estimate["value"] == pytest.approx(0.75)


def test_categories_are_told_in_the_metric_that_decides() -> None:
    """They were pass@1 whatever decided: nothing but zeros for a model that solves nothing."""
    runs = {("t", "greedy"): {arm: [results([0, 1, 1, 0])] for arm in ("base", "sft")}}
    metrics = {item.metric for item in differences(runs, "es_star").categories}
    assert metrics == {"es_star"}
    assert {item.metric for item in differences(runs).categories} == {"pass@1"}


def test_gains_and_losses_by_category() -> None:
    found = compared(base=[[0, 1, 1, 0]], dapo=[[1, 0, 1, 0], [1, 0, 0, 0]])
    rows = {item.value: item for item in found.categories if item.metric == "pass@1"}
    assert (rows["even"].before, rows["even"].after) == (0.5, 0.75)
    assert rows["odd"].change.value == pytest.approx(-0.5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The plan of a comparison with two arms and two seeds, on text pairs (nothing is executed)."""
    pytest.importorskip("trl", reason="training needs the extra train")
    with pytest.MonkeyPatch.context() as patch:
        vary_rewards(patch)
        yield small_comparison(
            tmp_path_factory.mktemp("compare"), "base", "sft", "grpo", seeds=(1, 2)
        )


@pytest.mark.slow
def test_a_whole_comparison_resumes_and_refuses_other_settings(whole, monkeypatch):
    from recode_train.comparing import compare_methods, evaluating

    trained: list[str] = []

    def killed(event: TrainEvent) -> None:
        trained.append(event.message)
        if event.message.startswith("training: grpo, seed 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_methods(whole, progress=killed)
    assert (whole.out / "arms/sft-seed1/final").is_dir()
    kept = {p: p.stat().st_mtime_ns for p in whole.out.glob("runs/*/*/*/*/results.json")}
    assert len(kept) == 4  # the base and one arm, greedy and sampled
    content = compare_methods(whole)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept

    kinds = {"sft": 2, "grpo": 2}
    assert {arm: len(items) for arm, items in content["budgets"].items()} == kinds
    assert all(item["steps"] == 2 for items in content["budgets"].values() for item in items)
    assert all(item["tokens_generated"] > 0 for item in content["budgets"]["grpo"])
    assert {item["sampling"] for item in content["values"]} == {"greedy", "sampled"}
    greedy = [item for item in content["differences"] if item["sampling"] == "greedy"]
    assert {(item["arm"], item["reference"]) for item in greedy} == {
        ("sft", "base"), ("grpo", "base"), ("grpo", "sft"),
    }  # fmt: skip
    assert all(item["change"]["problems"] == 4 for item in greedy)
    values = [item for item in content["values"] if item["arm"] == "grpo"]
    assert all(len(item["seeds"]) == 2 for item in values)
    models = yaml.safe_load((whole.out / "models.yaml").read_text())["models"]
    assert {item["method"] for item in models} == {"untrained", "SFT", "GRPO"}
    assert json.loads((whole.out / "comparison.json").read_text()) == content
    assert content["prompts"] == {"recode-train-data": "recode"}
    used = {
        json.loads(p.read_text())["prompt"]["name"]
        for p in whole.out.glob(f"runs/{'*/' * 4}results.json")
    }
    assert used == {"recode"}
    assert "## Budgets" in (whole.out / "comparison.md").read_text()

    monkeypatch.setattr(evaluating, "_evaluate_on", lambda *_: pytest.fail("changed, but begun"))
    with pytest.raises(UsageError, match=r"arms\.sft\.learning_rate.* differ"):
        compare_methods(replace(whole, overrides=(*whole.overrides, "sft.learning_rate=0.1")))
    with pytest.raises(UsageError, match=r"evaluated\.prompts"):
        compare_methods(replace(whole, overrides=(*whole.overrides, "prompt=plain")))
    with pytest.raises(UsageError, match=r"evaluated\.samples"):
        compare_methods(replace(whole, evaluated=replace(whole.evaluated, samples=3)))


@pytest.mark.slow
def test_a_comparison_of_an_earlier_version_goes_on(whole):
    """Its plan names no prompts: what was then every task's default is `recode`."""
    from recode_train.comparing import compare_methods

    compare_methods(whole)
    plan_file = whole.out / "plan.json"
    content = json.loads(plan_file.read_text())
    assert content["evaluated"].pop("problems") == []
    assert content["evaluated"].pop("prompts") == {"recode-train-data": "recode"}
    plan_file.write_text(json.dumps(content))
    kept = {p: p.stat().st_mtime_ns for p in whole.out.glob("runs/*/*/*/*/results.json")}
    assert compare_methods(whole)["prompts"] == {"recode-train-data": "recode"}
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    plan_file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"evaluated\.prompts"):
        compare_methods(replace(whole, overrides=(*whole.overrides, "prompt=plain")))


@pytest.mark.slow
def test_a_missing_file_of_a_task_is_named_before_training(whole, tmp_path):
    from recode_train.comparing import compare_methods

    evaluated = replace(whole.evaluated, tasks=("recode-train-data=absent.jsonl",))
    with pytest.raises(DataError, match=r"absent\.jsonl"):
        compare_methods(replace(whole, out=tmp_path / "new", evaluated=evaluated))
    assert not (tmp_path / "new").exists()


def test_dry_run_prints_every_budget(whole, capsys):
    from recode_train.cli import run

    words = ["compare", "--model", whole.model, "--arms", "sft,grpo", "--data", whole.data]
    for text in whole.overrides:
        words += ["--set", text]
    assert run([*words, "--seeds", "2", "--out", str(whole.out), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "\nsft\n" in shown
    assert "\ngrpo\n" in shown
    assert shown.splitlines()[0].split() == ["seeds", "2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--eval", "migratoin"], "Did you mean migration"),
        (["--learning-rates", "1e-5,2e-5", "--validation", "migratoin"], "Did you mean migration"),
        (["--eval", "humaneval=absent.jsonl"], "absent.jsonl"),
        (["--learning-rates", "1e-5", "--validation", "humaneval=absent.jsonl"], "absent.jsonl"),
    ],
)
def test_a_dry_run_refuses_tasks_that_the_comparison_refuses(
    whole, tmp_path, capsys, words, message
):
    """It took any task; a wrong validation task was found after the folder had been made for it."""
    from recode_train.cli import run

    asked = ["compare", "--model", whole.model, "--arms", "sft", "--data", whole.data]
    for text in whole.overrides:
        asked += ["--set", text]
    asked += [*words, "--out", str(tmp_path / "new"), "--quiet"]
    for more in (["--dry-run"], []):
        assert run([*asked, *more]) in {ExitCode.USAGE, ExitCode.DATA}
        assert message in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
