"""What the arms of a comparison have in common: pairs, prompts, updates."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from compare_training import small_comparison, vary_rewards, write_pairs

from recode_eval.errors import DataError, UsageError
from recode_train.comparing.budgets import spent
from recode_train.comparing.configs import arm_configs
from recode_train.comparing.matching import Matched, match, prompts_unit
from recode_train.config import TrainConfig
from recode_train.data import load_pairs, read_ids


def settings(algorithm: str, **more: Any) -> TrainConfig:
    return TrainConfig(algorithm=algorithm, model="m", preset="cpu-demo", **more)


def matched(
    way: str, pairs: int = 400, budget: float | None = None, **arms: TrainConfig
) -> Matched:
    return match(way, arms, [f"p{i}" for i in range(pairs)], frozenset(), budget)


def test_the_demo_s_arms_see_as_many_prompts_and_the_same_pairs():
    """With equal updates SFT saw 400 pairs 1.9 times, and GRPO 96 of them: not the same pairs."""
    arms = {name: settings(name, max_steps=24) for name in ("sft", "grpo", "dapo")}
    equal_updates = matched("updates", **arms)
    assert set(equal_updates.steps.values()) == {24}
    assert len(equal_updates.pairs) == 400
    equal_prompts = matched("prompts", **arms)
    assert equal_prompts.steps == {"sft": 3, "grpo": 24, "dapo": 24}
    assert len(equal_prompts.pairs) == 96
    assert equal_prompts.drawn
    assert equal_prompts.text == "prompts: 96 of every arm (96 pairs, 1 passes)"


def test_the_pairs_are_drawn_from_all_of_the_data():
    """The first 96 pairs of a file would be those of its first libraries."""
    positions = [int(key[1:]) for key in matched("prompts", sft=settings("sft", max_steps=3)).pairs]
    assert positions == sorted(positions)
    assert max(positions) > 300


def test_a_budget_says_how_many():
    arms = {"sft": settings("sft"), "grpo": settings("grpo")}
    assert matched("updates", budget=10, **arms).steps == {"sft": 10, "grpo": 10}
    found = matched("prompts", pairs=64, budget=200, **arms)
    assert found.steps == {"sft": 6, "grpo": 48}
    assert len(found.pairs) == 64
    assert not found.drawn
    assert matched("none", **arms).steps == {"sft": 80, "grpo": 80}


def test_the_smallest_plan_is_the_budget_of_the_others():
    arms = {"grpo": settings("grpo"), "sft": settings("sft"), "short": settings("sft", max_steps=9)}
    found = matched("tokens", **arms)
    assert (found.limit, found.reference, found.budget) == ("stop_after_tokens", "short", None)
    assert found.text == "tokens: those of short, at most, of every arm"
    stated = matched("seconds", budget=60, **arms)
    assert (stated.limit, stated.reference, stated.budget) == ("stop_after_seconds", None, 60)
    rooted = match("tokens", arms, ["p"], frozenset(), None, ["grpo", "sft"])
    assert rooted.reference == "sft"


def test_batches_that_do_not_fit_one_another_are_refused():
    with pytest.raises(UsageError, match=r"units of 96 only \(a batch of sft 32, grpo 12\)"):
        matched(
            "prompts",
            sft=settings("sft", max_steps=2),
            grpo=settings("grpo", per_device_train_batch_size=48, max_steps=80),
        )


def test_rows_of_several_answers_are_no_prompts():
    """With `packing` an arm took 8 rows for 8 prompts, and so trained on several times as many."""
    packed = settings("sft", packing=True)
    with pytest.raises(UsageError, match="arm packed packs several answers into a row"):
        matched("prompts", packed=packed, grpo=settings("grpo"))
    assert matched("updates", packed=packed, grpo=settings("grpo")).steps["packed"] == 80
    # Reinforcement learning packs nothing, whatever the setting says.
    assert matched("prompts", grpo=settings("grpo", packing=True)).pairs
    result = SimpleNamespace(
        steps=2,
        report={"config": packed.as_dict(), "data": {"prompts": 64}},
        budgets={"tokens_trained": 5},
    )
    found = spent(result)
    assert (found["steps"], found["prompts"], found["pairs"], found["passes"]) == (
        2,
        None,
        None,
        None,
    )
    assert found["tokens_trained"] == 5


def test_a_unit_is_whole_generations():
    assert prompts_unit(settings("grpo", num_iterations=2)) == (4, 8)
    assert prompts_unit(settings("grpo", gradient_accumulation_steps=4)) == (1, 16)


def test_what_one_arm_leaves_out_all_leave_out():
    found = match("none", {"sft": settings("sft")}, ["a", "b", "c"], frozenset({"b"}))
    assert (found.pairs, found.left_out) == (("a", "c"), 1)
    with pytest.raises(UsageError, match="No pair fits all arms"):
        match("none", {"sft": settings("sft")}, ["a"], frozenset({"a"}))


def test_pairs_by_their_ids(tmp_path):
    source = f"recode-train-data={write_pairs(tmp_path / 'pairs.jsonl')}"
    every = load_pairs(source)
    wanted = [every.pairs[5].id, every.pairs[1].id]
    some = load_pairs(source, only=wanted)
    assert [pair.id for pair in some.pairs] == wanted[::-1]
    assert some.content_hash != every.content_hash
    with pytest.raises(DataError, match="has no pair absent"):
        load_pairs(source, only=[*wanted, "absent"])
    for text in ("{}", "[1]", "[", "[" * 100_000):
        (tmp_path / "ids.json").write_text(text)
        with pytest.raises(DataError, match=r"ids\.json"):
            read_ids(tmp_path / "ids.json")


@pytest.fixture(scope="module")
def of_prompts(tmp_path_factory):
    """Three arms on 16 pairs, matched by prompts: 8 of each."""
    pytest.importorskip("trl", reason="training needs the extra train")
    folder = tmp_path_factory.mktemp("matched")
    return small_comparison(
        folder,
        "sft",
        "grpo",
        "dapo",
        match="prompts",
        pairs=16,
        overrides=("max_steps=8", "sft.max_steps=20", "dynamic_sampling_rounds=2"),
    )


@pytest.mark.slow
def test_every_arm_is_trained_on_the_same_pairs(of_prompts, monkeypatch):
    """`compare` said the arms saw the same pairs, and they did not: counted where TRL gets them."""
    from recode_train.comparing import compare_methods
    from recode_train.trainers import recording

    drawn: dict[str, list[str]] = {}
    generate = recording.Recording._generate_and_score_completions

    def watched(self, inputs):
        name = self.args.output_dir.rsplit("/", maxsplit=1)[-1]
        drawn.setdefault(name, []).extend(row["pair_id"] for row in inputs)
        return generate(self, inputs)

    vary_rewards(monkeypatch)
    monkeypatch.setattr(recording.Recording, "_generate_and_score_completions", watched)
    content = compare_methods(of_prompts)
    assert content["matched"] == "prompts: 8 of every arm (8 pairs, 1 passes)"
    kept = set(json.loads((of_prompts.out / "pairs.json").read_text()))
    assert len(kept) == 8
    assert set(drawn["grpo-seed1"]) == set(drawn["dapo-seed1"]) == kept
    for arm in ("sft", "grpo", "dapo"):
        (item,) = content["budgets"][arm]
        assert item["pairs"] == 8, arm
        assert item["passes"] >= 1, arm
    assert content["budgets"]["sft"][0]["prompts"] == content["budgets"]["grpo"][0]["prompts"] == 8
    assert content["budgets"]["sft"][0]["steps"] == 4
    report = json.loads((of_prompts.out / "arms/sft-seed1/train.json").read_text())
    assert report["data"]["pairs"] == 8


@pytest.mark.slow
def test_arms_end_at_the_tokens_of_the_smallest(tmp_path, monkeypatch):
    """Equal updates are not equal costs: an update of GRPO costs twice the tokens and more."""
    pytest.importorskip("trl", reason="training needs the extra train")
    from recode_train.comparing import compare_methods

    vary_rewards(monkeypatch)
    config = small_comparison(
        tmp_path, "grpo", "sft", match="tokens", overrides=("grpo.max_steps=9", "sft.max_steps=2")
    )
    content = compare_methods(config)
    sft, grpo = content["budgets"]["sft"][0], content["budgets"]["grpo"][0]
    spent = [item["tokens_generated"] + item["tokens_trained"] for item in (sft, grpo)]
    assert sft["steps"] == 2
    assert 1 <= grpo["steps"] < 9
    assert spent[1] >= spent[0]
    report = json.loads((config.folder / "arms/grpo-seed1/train.json").read_text())
    assert report["config"]["stop_after_tokens"] == spent[0]
    assert report["finished"]
    assert compare_methods(config)["budgets"] == content["budgets"]


@pytest.mark.slow
def test_a_run_killed_after_its_budget_was_spent_ends_with_the_same_weights(tmp_path):
    """Without a look at the budget, it would have made one more step than an uninterrupted run."""
    pytest.importorskip("trl", reason="training needs the extra train")
    import shutil

    import torch
    from safetensors.torch import load_file

    from recode_train.trainers import train

    config = small_comparison(tmp_path, "sft")
    alone = TrainConfig.from_sources(
        "sft", overrides=[*config.overrides, "max_steps=9", "save_steps=1", "stop_after_tokens=1"],
        model=config.model, data=config.data, output=str(tmp_path / "run"),
    )  # fmt: skip
    result = train(alone)
    assert result.steps == 1
    before = load_file(result.final / "model.safetensors")
    shutil.rmtree(result.final)
    (tmp_path / "run/train.json").unlink()
    again = train(alone)
    after = load_file(again.final / "model.safetensors")
    assert again.steps == 1
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_a_pair_too_long_to_be_learnt_is_left_out_of_every_arm(tmp_path):
    """SFT dropped 121 of 125 pairs in silence, and reinforcement learning kept them."""
    pytest.importorskip("trl", reason="training needs the extra train")
    from recode_train.comparing.configs import prepare
    from recode_train.planning import describe, make_plan

    config = small_comparison(tmp_path, "sft", "grpo", long=3)
    prepared = prepare(config)
    assert prepared.matched.left_out == 3
    assert len(prepared.matched.pairs) == 5
    assert prepared.restricted
    alone = TrainConfig(
        algorithm="sft", model=config.model, data=config.data, output=str(tmp_path / "sft"),
        max_completion_length=400, max_prompt_length=4096,
    )  # fmt: skip
    plan = make_plan(alone)
    assert plan.prompts is not None
    assert (plan.prompts.used, plan.prompts.cut) == (5, 3)
    assert "3 with too long an answer" in dict(describe(plan))["prompts"]
    assert any("3 of 8 pairs left out: their answer" in note for note in plan.notes)
    assert plan.as_dict()["prompts"]["cut"] == 3


@pytest.mark.slow
def test_a_plan_of_rft_asks_every_pair_that_the_run_asks(tmp_path):
    """The plan left out pairs for the length of a reference, which RFT does not learn."""
    pytest.importorskip("trl", reason="training needs the extra train")
    from recode_train.planning import make_plan
    from recode_train.trainers import loading, training_data

    config = small_comparison(tmp_path, "rft", long=3)
    alone = arm_configs(config, 1)["rft"]
    plan = make_plan(alone)
    assert plan.prompts is not None
    prepared = training_data.prepare(alone, plan.pairs, loading.tokenizer(loading.find(alone)))
    with prepared.closing:
        assert (plan.prompts.used, plan.prompts.cut) == (len(prepared.prompts), 0) == (8, 0)
