"""What a training logs about its rewards, and what it leaves for people to read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tiny_training import (
    config,
    letter_share,
    make_tokenizer,
    start,
    training_data,
    weights_hash,
)

from recode_eval.errors import UsageError
from recode_train.checkpoints import COMPLETIONS, read_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NAMES = ["a", "b", "c"]


def with_watched(weight: float | None) -> Any:
    """Data with a second reward function, of weight 0, which cannot score all completions."""
    stuff = training_data(NAMES, letter_share(make_tokenizer()), extra=weight is not None)
    if weight is not None:
        stuff.rewards.weights[1] = weight
        stuff.rewards.functions[1] = watched
    return stuff


def watched(*, pair_id: list[str], **_: Any) -> list[float | None]:
    return [None if at % 4 == 0 else float(at) for at in range(len(pair_id))]


def test_a_reward_of_weight_0_is_logged_and_trains_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Its holes do not blank the others, nor does its value make a flat group varied."""
    results = []
    for name, weight in (("without", None), ("with", 0.0)):
        settings = config("dapo", tiny_model, tmp_path / name, max_steps=4)
        results.append(start(settings, with_watched(weight)))
    plain, logged = results
    assert weights_hash(plain.final) == weights_hash(logged.final)
    assert {k: v for k, v in plain.budgets.items() if "seconds" not in k} == {
        k: v for k, v in logged.budgets.items() if "seconds" not in k
    }
    lines = read_log(logged.output / "train.jsonl")
    # A hole in a group leaves the function no value in all of the group: all groups have one.
    assert lines[0]["rewards/watched/mean"] is None
    assert lines[0]["monitor/unscored_share"] == 0.25
    assert lines[0]["reward"] == read_log(plain.output / "train.jsonl")[0]["reward"]


def test_copies_and_flat_groups_are_logged(tiny_model: Path, tmp_path: Path) -> None:
    def reward(*, pair_id: list[str], **_: Any) -> list[float]:
        return [float(at % 2) if name == "a" else 1.0 for at, name in enumerate(pair_id)]

    stuff = training_data(NAMES, reward)
    stuff.rewards.copied = lambda *, pair_id, **_: [name == "b" for name in pair_id]
    settings = config("grpo", tiny_model, tmp_path / "run", max_steps=6)
    lines = read_log(start(settings, stuff).output / "train.jsonl")
    assert {line["monitor/flat_share"] for line in lines if "monitor/flat_share" in line} <= {
        0.5, 1.0,
    }  # fmt: skip
    found = [line["monitor/copy_rate"] for line in lines if "monitor/copy_rate" in line]
    assert sum(found) / len(found) == pytest.approx(1 / 3)  # each pair as often as the others


def test_completions_are_kept_to_be_read(tiny_model: Path, tmp_path: Path) -> None:
    """A table of some, not of all, and cut off where a killed run continues."""
    settings = config(
        "grpo", tiny_model, tmp_path / "run", max_steps=8, completion_samples=3, completion_steps=4
    )
    start(settings, training_data(NAMES, letter_share(make_tokenizer())))
    rows = [json.loads(line) for line in (tmp_path / "run" / COMPLETIONS).read_text().splitlines()]
    assert [row["step"] for row in rows] == [1] * 3 + [5] * 3
    assert set(rows[0]) == {"step", "pair", "completion", "rewards", "advantage"}
    assert rows[0]["rewards"].keys() == {"letters"}
    assert len({row["advantage"] for row in rows[:3]}) > 1

    from recode_train import checkpoints

    checkpoints.remove_after(tmp_path / "run", 4)
    assert len((tmp_path / "run" / COMPLETIONS).read_text().splitlines()) == 3


def test_dropout_is_off_while_completions_are_sampled(tiny_model: Path, tmp_path: Path) -> None:
    """And on in the loss, unless disable_dropout takes it out of there, too."""
    from recode_train.trainers.recording import Recording

    seen: dict[str, list[bool]] = {"sampling": [], "loss": []}

    def dropouts(model: Any) -> list[bool]:
        return [part.training and part.p > 0 for name, part in model.named_modules()
                if name.endswith("lora_dropout.default")]  # fmt: skip

    import trl

    inner, single = trl.GRPOTrainer._compute_loss, trl.GRPOTrainer._generate_single_turn

    def sample(self: Any, *values: Any, **more: Any) -> Any:
        seen["sampling"] += dropouts(self.model)
        assert self.model.training
        return single(self, *values, **more)

    def loss(self: Any, *values: Any) -> Any:
        seen["loss"] += dropouts(self.model)
        return inner(self, *values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trl.GRPOTrainer, "_generate_single_turn", sample)
        patch.setattr(trl.GRPOTrainer, "_compute_loss", loss)
        for disabled in (False, True):
            settings = config(
                "grpo", tiny_model, tmp_path / str(disabled), max_steps=2, tuning="lora", lora_r=2,
                lora_dropout=0.5, disable_dropout=disabled,
            )  # fmt: skip
            start(settings, training_data(NAMES, letter_share(make_tokenizer())))
            assert seen["sampling"]
            assert not any(seen["sampling"])
            assert seen["loss"]
            assert all(seen["loss"]) != disabled
            seen = {"sampling": [], "loss": []}
    assert Recording._generate is not trl.GRPOTrainer._generate


def test_an_edited_reward_function_does_not_continue_a_run(
    tiny_model: Path, tmp_path: Path
) -> None:
    import dataclasses

    settings = config("grpo", tiny_model, tmp_path / "run", max_steps=2)
    stuff = training_data(NAMES, letter_share(make_tokenizer()))

    def with_source(digest: str) -> Any:
        provenance = {**stuff.provenance, "reward_sources": {"m:f": digest}}
        return dataclasses.replace(stuff, provenance=provenance)

    start(settings, with_source("1"))
    start(settings, with_source("1"))
    with pytest.raises(UsageError, match="another source of the reward functions"):
        start(settings, with_source("2"))


def test_attention_is_computed_as_asked(tiny_model: Path, tmp_path: Path) -> None:
    from recode_train.trainers import loading

    settings = config("sft", tiny_model, tmp_path / "run", attn_implementation="eager")
    model = loading.model(loading.find(settings), settings, 8)
    assert model.config._attn_implementation == "eager"
    wrong = config("sft", tiny_model, tmp_path / "run", attn_implementation="flash_attention_9")
    with pytest.raises(UsageError, match="flash_attention_9"):
        loading.model(loading.find(wrong), wrong, 8)


def test_qlora_is_refused_without_its_library_or_a_gpu(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    from recode_train.trainers import loading

    settings = config("sft", tiny_model, tmp_path / "run", tuning="qlora")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for there, sentence in ((None, "pip install bitsandbytes"), (object(), "needs a GPU")):
        with monkeypatch.context() as patch:
            patch.setattr(importlib.util, "find_spec", lambda _name, found=there: found)
            with pytest.raises(UsageError, match=sentence):
                loading.check_four_bits(settings)
