"""Arms of a comparison: what their text means, what is refused, and where their weights begin."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from recode_eval.errors import UsageError
from recode_train.comparing.arms import ArmSettings, parse_arm
from recode_train.comparing.budgets import spent
from recode_train.comparing.configs import arm_configs, as_now
from recode_train.comparing.settings import CompareConfig
from recode_train.config import TrainConfig


def plan(tmp_path, *arms, **changes) -> CompareConfig:
    return CompareConfig(**{"model": "m", "out": tmp_path, "arms": arms, **changes})


def test_arms_of_one_algorithm_have_settings_of_their_own(tmp_path):
    """An arm was an algorithm, so two learning rates or two rewards could not be compared."""
    configs = arm_configs(
        plan(
            tmp_path,
            "grpo",
            "tested=grpo,rewards={tests: 1, format: 0.5},learning_rate=2e-5",
            "lora=grpo,tuning=lora,lora_target_modules=[q_proj, v_proj]",
            overrides=["learning_rate=1e-5", "lora.lora_r=8"],
        ),
        3,
    )
    assert list(configs) == ["grpo", "tested", "lora"]
    assert {c.algorithm for c in configs.values()} == {"grpo"}
    assert dict(configs["tested"].rewards) == {"tests": 1, "format": 0.5}
    assert [c.learning_rate for c in configs.values()] == [1e-5, 2e-5, 1e-5]
    assert configs["lora"].lora_target_modules == ("q_proj", "v_proj")
    assert (configs["lora"].lora_r, configs["grpo"].lora_r) == (8, 64)
    assert configs["tested"].output.endswith("arms/tested-seed3")


def test_commas_in_brackets_and_quotation_marks_are_part_of_a_value():
    arm = parse_arm("a=sft,trainer_args={a: [1, 2], b: 'x,y'},optim=\"adamw_torch\"")
    assert arm.overrides == ("trainer_args={a: [1, 2], b: 'x,y'}", 'optim="adamw_torch"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=", "write NAME=ALGORITHM"),
        ("=sft", "write NAME=ALGORITHM"),
        ("a=sftt", "Did you mean sft"),
        ("../a=sft", "name has letters"),
        ("-a=sft", "name has letters"),
        ("a\x1b=sft", "name has letters"),
        ("rewards=sft", "that is a setting"),
        ("a=sft,max_steps", "write KEY=VALUE"),
        ("a=sft,rewards={tests: 1", "} is missing"),
        ("a=sft,model=other", "the same for all arms"),
        ("a=sft,start=base,start=base", "start occurs twice"),
        ("a=sft,learning_rate=[1e-5,x]", "numbers with commas"),
        ("a=sft,learning_rate=[]", "numbers with commas"),
        ("a=sft,learning_rate=[1e-5,1e-5]", "occurs twice"),
        ("a=sft,learning_rate=[-1]", "above 0"),
    ],
)
def test_texts_that_are_no_arm_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_arm(text)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (["a=sft", "a=grpo"], "One arm occurs twice"),
        (["a=sft,start=b", "b=grpo,start=a"], "start from one another"),
        (["a=sft,start=a"], "start from one another"),
        (["a=sft,start=bb", "b=grpo"], "Did you mean b"),
    ],
)
def test_starts_that_cannot_be_are_refused(tmp_path, arms, message):
    with pytest.raises(UsageError, match=message):
        plan(tmp_path, *arms)


def test_an_arm_comes_after_its_start(tmp_path):
    config = plan(tmp_path, "then=grpo,start=first", "last=dapo,start=then", "first=sft")
    assert config.trained == ("first", "then", "last")


def test_an_unknown_setting_of_an_arm_is_named(tmp_path):
    config = plan(tmp_path, ArmSettings(name="a", algorithm="sft", overrides=["max_step=3"]))
    with pytest.raises(UsageError, match="Did you mean max_steps"):
        arm_configs(config, 1)


def test_a_plan_of_an_earlier_version_is_read_as_one_of_now(tmp_path):
    """Its arms lack newer settings, and the way to match was called steps."""
    settings = arm_configs(plan(tmp_path, "sft"), 1)["sft"].as_dict()
    now = {k: v for k, v in settings.items() if k not in {"output", "seed"}}
    old = {k: v for k, v in now.items() if k not in {"tools", "turns"}}
    read = as_now(json.loads(json.dumps({"arms": {"sft": old}, "match": "steps"})))
    assert read["arms"]["sft"] == json.loads(json.dumps(now))
    assert (read["match"], read["starts"]) == ("updates", {})


def test_what_a_training_on_answers_has_seen():
    """RFT goes through answers: their number is no number of passes over pairs."""
    config = TrainConfig(algorithm="sft", model="m", per_device_train_batch_size=2, max_steps=4)
    report = {"config": config.as_dict(), "data": {"prompts": 6}}
    result = SimpleNamespace(report=report, steps=4, budgets={})
    found = spent(result)
    assert (found["prompts"], found["pairs"], found["passes"]) == (8, 6, 1.333)
    report["data"]["answers"] = {}
    found = spent(result)
    assert (found["prompts"], found["pairs"], found["passes"]) == (8, 6, None)
    short = SimpleNamespace(report={**report, "data": {"prompts": 20}}, steps=4, budgets={})
    assert (spent(short)["pairs"], spent(short)["passes"]) == (8, 0.4)


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_reinforcement_learning_after_sft(tmp_path, tuning, monkeypatch):
    """The second arm's first weights are the last ones of the first, an adapter merged into it."""
    pytest.importorskip("trl", reason="training needs the extra train")
    import torch
    from compare_training import small_comparison, vary_rewards
    from safetensors.torch import load_file

    from recode_train.comparing import compare_methods

    vary_rewards(monkeypatch)
    still = ",learning_rate=1e-30" if tuning == "full" else ""
    config = small_comparison(tmp_path, "first=sft", f"then=grpo,start=first{still}", tuning=tuning)
    content = compare_methods(config)
    assert content["arms"] == ["base", "first", "then"]
    folder = config.folder / "arms"
    if tuning == "lora":
        assert (folder / "first-seed1/merged/model.safetensors").is_file()
        report = json.loads((folder / "then-seed1/train.json").read_text())
        assert report["config"]["model"].endswith("first-seed1/merged")
        return
    start, base, end = (
        load_file(place / "model.safetensors")
        for place in (folder / "first-seed1/final", tmp_path / "model", folder / "then-seed1/final")
    )
    assert all(torch.equal(start[name], end[name]) for name in start)
    assert any(not torch.equal(start[name], base[name]) for name in start)
