"""DAPO: its settings, its learning, and dynamic sampling within a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_grpo import LEARNING, NAMES, rewards_of
from tiny_training import config, flat_for, letter_share, make_tokenizer, start, training_data

from recode_eval.errors import UsageError
from recode_train.checkpoints import read_log
from recode_train.stopping import BarrenError

pytestmark = pytest.mark.slow


def spy_on_batches(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the list to which every batch that is trained on will be added."""
    from recode_train.trainers.dynamic_sampling import DynamicSampling

    batches: list[dict[str, Any]] = []
    original = DynamicSampling._batch

    def spying(self: Any, inputs: Any) -> Any:
        batches.append(original(self, inputs))
        return batches[-1]

    monkeypatch.setattr(DynamicSampling, "_batch", spying)
    return batches


def prompt_texts(batch: dict[str, Any]) -> list[str]:
    return make_tokenizer().batch_decode(batch["prompt_ids"], skip_special_tokens=True)


def test_reward_rises(tiny_model: Path, tmp_path: Path) -> None:
    settings = config("dapo", tiny_model, tmp_path / "run", **LEARNING)
    assert (settings.beta, settings.epsilon, settings.epsilon_high) == (0.0, 0.2, 0.28)
    assert settings.loss_type == "dapo"
    start(settings, training_data(NAMES, letter_share(make_tokenizer())))
    rewards = rewards_of(tmp_path / "run")
    assert sum(rewards[-3:]) / 3 > 2 * sum(rewards[:3]) / 3
    assert sum(rewards[-3:]) / 3 > 0.3


def test_only_varied_groups_are_trained_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the pairs have constant rewards: none of them gets into a batch; all is counted."""
    batches = spy_on_batches(monkeypatch)

    def varied(*, completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [float(i % 2) for i, _ in enumerate(completion_ids)]

    names = ["flat0", "flat1", "flat2", "open0", "open1", "open2"]
    stuff = training_data(names, flat_for("flat", varied), extra=True)
    settings = config("dapo", tiny_model, tmp_path / "run", max_steps=6)
    result = start(settings, stuff)
    assert len(batches) == 3
    for batch in batches:
        assert len(batch["advantages"]) == 8
        assert all(text.startswith("open") for text in prompt_texts(batch))
        assert (batch["advantages"].abs() > 0.1).all()
        assert batch["num_items_in_batch"] == batch["completion_mask"].sum()
    budgets = result.budgets
    assert budgets["groups_flat"] > 0
    assert budgets["groups_masked"] == 0
    assert budgets["groups_sampled"] - budgets["groups_flat"] - budgets["groups_surplus"] == 6
    assert budgets["tokens_trained"] == sum(int(b["num_items_in_batch"]) for b in batches)
    assert budgets["tokens_generated"] > budgets["tokens_trained"]
    lines = [x for x in read_log(tmp_path / "run" / "train.jsonl") if "reward" in x]
    assert max(line["dynamic_sampling/rounds"] for line in lines) > 1


def test_masked_groups_fill_the_batch_when_the_rounds_are_used_up(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One open pair, so at most one group of two can be had in the only round of refill."""
    batches = spy_on_batches(monkeypatch)

    def varied(*, completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [float(i % 2) for i, _ in enumerate(completion_ids)]

    stuff = training_data(["flat0", "flat1", "flat2", "open0"], flat_for("flat", varied))
    settings = config("dapo", tiny_model, tmp_path / "run", dynamic_sampling_rounds=2, max_steps=8)
    result = start(settings, stuff)
    masks = 0
    for batch in batches:
        for text, advantage, mask in zip(
            prompt_texts(batch), batch["advantages"], batch["completion_mask"], strict=True
        ):
            if text.startswith("flat"):
                assert mask.sum() == 0
                assert advantage == 0
                masks += 1
            else:
                assert mask.sum() > 0
        assert batch["num_items_in_batch"] == batch["completion_mask"].sum()
    assert masks == 4 * result.budgets["groups_masked"] > 0


def test_nothing_varies(tiny_model: Path, tmp_path: Path) -> None:
    """A reward that is always equal: the weights stay as they were, and the run is not done."""
    from tiny_training import weights_hash

    def constant(*, completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [1.0 for _ in completion_ids]

    settings = config("dapo", tiny_model, tmp_path / "run", dynamic_sampling_rounds=3, max_steps=2)
    with pytest.raises(BarrenError, match="None of the 2 updates"):
        start(settings, training_data(NAMES, constant))
    assert weights_hash(tmp_path / "run" / "checkpoint-2") == weights_hash(tiny_model)
    report = json.loads((tmp_path / "run" / "train.json").read_text())
    assert report["finished"] is False
    assert "None of the 2 updates" in report["stopped"]
    budgets = report["budgets"]
    assert budgets["groups_masked"] == 2
    assert budgets["groups_sampled"] == budgets["groups_flat"] == 6
    assert budgets["tokens_trained"] == 0


def test_without_flat_groups_it_is_the_same_as_grpo(tiny_model: Path, tmp_path: Path) -> None:
    """Dynamic sampling does not touch a batch that has no flat group: the same bits."""
    from tiny_training import weights_hash

    hashes = []
    for dynamic in (False, True):
        settings = config(
            "dapo", tiny_model, tmp_path / str(dynamic), dynamic_sampling=dynamic, max_steps=4
        )
        result = start(settings, training_data(NAMES, varied_by_place))
        assert result.budgets["groups_flat"] == 0
        hashes.append(weights_hash(result.final))
    assert hashes[0] == hashes[1] != weights_hash(tiny_model)


def varied_by_place(*, completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [float(i % 2) for i, _ in enumerate(completion_ids)]


def test_scaling_by_the_batch_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scale_rewards"):
        config("dapo", tiny_model, tmp_path / "run", scale_rewards="batch")
