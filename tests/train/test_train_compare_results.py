"""What a comparison says: learning rates chosen apart, trainings that ended early, the verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compare_training import small_comparison, vary_rewards, write_pairs

from recode_eval.errors import DataError, ExitCode, UsageError
from recode_train.comparing import tuning
from recode_train.comparing.configs import Prepared, arm_configs
from recode_train.comparing.matching import match
from recode_train.comparing.settings import CompareConfig, EvaluationSettings
from recode_train.comparing.training import Trainings
from recode_train.comparing.tuning import Choice, Tried, check_validation
from recode_train.comparing.verdict import verdict
from recode_train.stopping import BarrenError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": "migration"}, "compared on: the best of several tries is no fair measure"),
        ({"validation": "migration-validation", "seeds": (0, 1)}, "seed 0 tries learning rates"),
        ({"learning_rates": (1e-5, 1e-5)}, "learning rate occurs twice"),
        ({"learning_rates": (0.0,)}, "above 0"),
        ({"primary": "pass@2"}, "Did you mean pass@"),
        (
            {"primary": "pass@5", "evaluated": EvaluationSettings(tasks=("arena",), samples=0)},
            "needs 5 samples per problem, not 1",
        ),
    ],
)
def test_choices_that_would_not_be_fair_are_refused(tmp_path, changes, message):
    settings = {
        "learning_rates": (1e-5, 2e-5),
        "evaluated": EvaluationSettings(tasks=("migration",)),
        **changes,
    }
    with pytest.raises(UsageError, match=message):
        CompareConfig(model="m", out=tmp_path, **settings)


def test_rates_are_chosen_on_no_problem_that_the_arms_are_compared_on(tmp_path):
    """A copy of the test's file under another name passed for a validation set."""

    def checked(validation: str, *tasks: str) -> None:
        config = CompareConfig(
            model="m", out=tmp_path, arms=["sft"], learning_rates=(1e-5, 2e-5),
            validation=validation, evaluated=EvaluationSettings(tasks=tasks),
        )  # fmt: skip
        check_validation(config, "recode")

    tested = f"recode-train-data={write_pairs(tmp_path / 'test.jsonl', 8)}"
    mixed = f"recode-train-data={write_pairs(tmp_path / 'mixed.jsonl', 5, first=6)}"
    apart = f"recode-train-data={write_pairs(tmp_path / 'apart.jsonl', 5, first=8)}"
    checked(apart, tested)
    with pytest.raises(UsageError, match="of whose 5 problems 2 are among those of"):
        checked(mixed, tested)
    checked("migration-validation", "migration", "arena-mini")
    with pytest.raises(DataError, match="absent"):
        checked("recode-train-data=absent.jsonl", tested)


def test_rates_that_differ_late_have_folders_of_their_own(tmp_path):
    """Both were tried in one folder, named by six digits, and the second one was refused."""
    config = CompareConfig(
        model="m", out=tmp_path, arms=["sft"], learning_rates=(1e-5, 1.0000001e-5)
    )
    names: list[str] = []

    def train(arm: Any, seed: int, rate: float, name: str) -> None:
        names.append(name)

    trainings = SimpleNamespace(train=train, stopped=[])
    with pytest.raises(UsageError, match="no learning rate"):
        tuning._choose(config, config.ways[0], trainings, SimpleNamespace())
    assert len(set(names)) == 2


def test_a_rate_at_the_edge_of_those_tried():
    tried = (Tried(1e-5, 0.1), Tried(2e-5, 0.3), Tried(4e-5, 0.2))
    choice = Choice("a", "t", "sampled", "pass@1", 0, tried, 2e-5)
    assert not choice.at_edge
    assert replace(choice, chosen=4e-5).at_edge
    assert not replace(choice, tried=tried[:1], chosen=1e-5).at_edge


def content(
    *differences: tuple[str, str, float, float], trainings: int = 3, single: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A comparison of arms on one task; each difference has arm, reference, value and p."""
    arms = dict.fromkeys(name for item in differences for name in (item[1], item[0]))
    base = {"task": "t|x", "sampling": "sampled", "metric": "pass@1"}
    values = {"base": 0.2} | {a: 0.2 + v for a, r, v, _ in differences if r == "base"}
    return {
        "values": [
            {**base, "arm": arm, "estimate": {"value": values[arm]},
             "seeds": [values[arm]] * (1 if arm in {"base", *single} else trainings)}
            for arm in arms
        ],
        "differences": [
            {
                **base, "primary": True, "arm": arm, "reference": reference,
                "change": {
                    "value": value, "low": value - 0.05, "high": value + 0.05, "p": p, "p_holm": p,
                    "detectable": 0.1, "problems": 9, "trainings": (trainings,),
                    "scope": "methods" if trainings > 1 else "these trainings",
                    "trainings_share": None,
                },
            }
            for arm, reference, value, p in differences
        ],
    }  # fmt: skip


def test_the_verdict_names_the_best_arm_and_what_it_is_better_than():
    found = content(
        ("sft", "base", 0.3, 0.001), ("grpo", "base", 0.25, 0.01), ("grpo", "sft", -0.05, 0.4)
    )
    assert verdict(found) == (
        "In pass@1 on `t¦x` (sampled), `sft` is highest with 50.0: better than `base` (+30.0 "
        "[+25.0, +35.0], p 0.001), and not distinguishable from `grpo` (+5.0 [0.0, +10.0], "
        "p 0.400)."
    )


def test_the_verdict_of_one_training_is_about_that_training():
    text = verdict(content(("sft", "base", -0.1, 0.001), trainings=1))
    assert text.startswith("In pass@1 on `t¦x` (sampled), `base` is highest with 20.0: better than")
    assert text.endswith("this is about these trainings, not about the methods.")
    assert verdict({"values": [], "differences": []}) == ""


def test_the_verdict_names_the_arms_with_a_single_training():
    """One arm had a training without a result: all were said to have a single one."""
    found = content(("sft", "base", 0.3, 0.001), ("rft", "base", 0.1, 0.2), single=("rft",))
    assert verdict(found).endswith(
        "; with one training of `rft`, this is about that training there, not about the method."
    )


def trained(tmp_path, monkeypatch, outcomes: dict[str, Any], **settings: Any) -> Trainings:
    """Go through arms whose trainings end as stated: an error, a gate's reason, or None."""

    def train(config, progress):
        name = Path(config.output).name
        outcome = outcomes.get(name)
        if isinstance(outcome, Exception):
            raise outcome
        return SimpleNamespace(final=Path(config.output) / "final", stopped=outcome)

    monkeypatch.setattr("recode_train.trainers.train", train)
    monkeypatch.setattr(
        "recode_train.comparing.training.spent",
        lambda _: {"tokens_generated": 0, "tokens_trained": 5, "seconds": 1.0},
    )
    config = CompareConfig(model="m", out=tmp_path, seeds=[1], **settings)
    matched = match(config.match, arm_configs(config, 1), ["p"], frozenset())
    trainings = Trainings(config, Prepared(matched, "", "", restricted=False), {}, lambda _: None)
    for arm in trainings.in_order():
        trainings.train(arm, 1)
    return trainings


def test_an_arm_that_a_gate_stopped_is_named_and_counted(tmp_path, monkeypatch):
    found = trained(tmp_path, monkeypatch, {"sft-seed1": "a regression"}, arms=["sft", "grpo"])
    (stopped,) = found.stopped
    assert stopped["arm"] == "sft"
    assert "ended early, and is evaluated as it is: a regression" in stopped["reason"]
    assert set(found.budgets) == {"sft", "grpo"}


def test_what_rests_on_a_training_without_a_result_has_none_either(tmp_path, monkeypatch):
    """Without the smallest arm's cost, the others would be trained without any limit."""
    error = BarrenError("Nothing was learnt.")
    found = trained(tmp_path, monkeypatch, {"a-seed1": error}, arms=["a=sft", "b=sft,start=a"])
    assert [item["reason"] for item in found.stopped] == [
        "Nothing was learnt.", "the training of a that it starts from ended early",
    ]  # fmt: skip
    arms = ["grpo", "sft"]
    found = trained(tmp_path, monkeypatch, {"sft-seed1": error}, arms=arms, match="tokens")
    assert [item["arm"] for item in found.stopped] == ["sft", "grpo"]
    assert "sets its budget" in found.stopped[1]["reason"]


@pytest.mark.slow
def test_rates_are_chosen_on_the_validation_task_and_taken(tmp_path, monkeypatch, capsys):
    """A real grid: the rate that ruins the model is tried, recorded, and not taken."""
    pytest.importorskip("trl", reason="training needs the extra train")
    from recode_train.comparing import compare_methods, running

    vary_rewards(monkeypatch)
    held_out = write_pairs(tmp_path / "validation.jsonl", 3, first=50)
    config = small_comparison(
        tmp_path, "first=sft,learning_rate=[1e-9,1e-3]", "then=grpo,start=first",
        validation=f"recode-train-data={held_out}", primary="es_star",
    )  # fmt: skip
    found = compare_methods(config)
    (choice,) = found["learning_rates"]
    assert [item["learning_rate"] for item in choice["tried"]] == [1e-9, 1e-3]
    assert (choice["metric"], choice["seed"], choice["sampling"]) == ("es_star", 0, "sampled")
    assert choice["chosen"] in {1e-9, 1e-3}
    assert choice["at_edge"]
    report = json.loads((config.folder / "arms/first-seed1/train.json").read_text())
    assert report["config"]["learning_rate"] == choice["chosen"]
    assert found["budgets"]["first"][0]["learning_rate"] == choice["chosen"]
    runs = list(config.folder.glob("tuning/runs/*/*/*/results.json"))
    assert len(runs) == 2
    tested = {json.loads(file.read_text())["task"]["data_hash"] for file in runs}
    compared = config.folder.glob("runs/sampled/*/*/*/results.json")
    assert tested.isdisjoint(json.loads(file.read_text())["task"]["data_hash"] for file in compared)
    text = (config.folder / "comparison.md").read_text()
    assert "## Learning rates tried" in text
    assert "at the edge of those tried" in text

    monkeypatch.setattr(running, "choose_rates", lambda *_: pytest.fail("changed, but begun"))
    with pytest.raises(UsageError, match=r"tuning\.first.* differ"):
        compare_methods(replace(config, arms=("first=sft,learning_rate=[1e-9]", *config.arms[1:])))


@pytest.mark.slow
def test_a_training_that_diverges_is_named_and_the_command_fails(tmp_path, capsys):
    """A diverged arm ended the whole comparison, and those that were done were not compared."""
    pytest.importorskip("trl", reason="training needs the extra train")
    from recode_train.cli import run

    config = small_comparison(tmp_path, "sft")
    words = ["compare", "--model", config.model, "--data", config.data, "--seeds", "1", "--n", "0"]
    for text in config.overrides:
        words += ["--set", text]
    words += ["--eval", config.evaluated.tasks[0], "--limit", "2", "--max-tokens", "8"]
    words += ["--arm", "good=sft", "--arm", "bad=sft,learning_rate=1e30,max_grad_norm=1e30"]
    words += ["--arm", "after=sft,start=bad", "--out", str(tmp_path / "out"), "--quiet"]
    assert run(words) == ExitCode.CHECK_FAILED
    shown = capsys.readouterr().out
    assert "Without a result: bad, seed 1: The training diverged" in " ".join(shown.split())
    found = json.loads((tmp_path / "out/comparison.json").read_text())
    assert [item["arm"] for item in found["stopped"]] == ["bad", "after"]
    assert {item["arm"] for item in found["values"]} == {"base", "good"}
