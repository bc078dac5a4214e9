"""Presets of losses: their arithmetic, their label, a real step, and an exact resume of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_training import (
    KilledError,
    config,
    killing_at,
    letter_share,
    make_tokenizer,
    start,
    training_data,
    weights_hash,
)

from recode_eval.errors import ExitCode, UsageError
from recode_train import batch_math, cli
from recode_train.checkpoints import LOG, read_log
from recode_train.comparing.arms import parse_arm
from recode_train.config import TrainConfig
from recode_train.presets import PRESETS

LOSSES = {
    "dr-grpo": ("Dr. GRPO", 1),
    "gspo": ("GSPO", 4),
    "cispo": ("CISPO", 2),
    "sapo": ("SAPO", 4),
    "luspo": ("LUSPO", 4),
    "vespo": ("VESPO", 4),
}
"""Label, and updates per generation."""
NAMES = ["a", "b", "c"]
SMALL = {"per_device_train_batch_size": 4, "max_steps": 8, "save_steps": 4}


def test_every_preset_with_a_label_is_tested_here() -> None:
    assert {p.name: p.label for p in PRESETS.values() if p.label} == {
        name: label for name, (label, _) in LOSSES.items()
    }


@pytest.mark.parametrize("name", LOSSES)
def test_the_plan(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    label, updates = LOSSES[name]
    words = ["grpo", "--model", "a/model", "--preset", name, "--limit", "16", "--dry-run"]
    assert cli.run([*words, "--json"]) == ExitCode.OK
    plan = json.loads(capsys.readouterr().out)
    assert plan["sizes"]["updates_per_generation"] == updates
    assert plan["sizes"]["completions_per_step"] == 8
    assert plan["sizes"]["completions_per_generation"] == 8 * updates
    clip = any("epsilon and epsilon_high: without effect" in text for text in plan["warnings"])
    assert clip == (updates == 1)
    assert cli.run(words) == ExitCode.OK
    assert f"{label}, preset {name}" in capsys.readouterr().out


def test_a_label_is_that_of_the_loss() -> None:
    """`compare` and the leaderboard call a run by it."""
    made = TrainConfig(algorithm="grpo", model="m", preset="gspo")
    assert made.label == "GSPO"
    other = TrainConfig(
        algorithm="grpo", model="m", preset="gspo", importance_sampling_level="token"
    )
    assert other.label == "GRPO"
    assert TrainConfig(algorithm="dapo", model="m", preset="released-dapo").label == "DAPO"
    assert parse_arm("x=grpo,preset=dr-grpo").label == "Dr. GRPO (x)"
    assert parse_arm("x=grpo,preset=dr-grpo,loss_type=bnpo").label == "GRPO (x)"


def test_luspo_weights_whole_completions() -> None:
    with pytest.raises(UsageError, match="importance_sampling_level=sequence"):
        TrainConfig(algorithm="grpo", model="m", loss_type="luspo")


def test_what_a_loss_does_not_read_is_named() -> None:
    def said(loss: str, **settings: Any) -> str:
        made = TrainConfig(
            algorithm="grpo", model="m", loss_type=loss, steps_per_generation=2, **settings
        )
        return " ".join(batch_math.warnings(made))

    assert "epsilon: without effect, because loss_type sapo" in said("sapo", epsilon=0.1)
    assert "delta: without effect, because loss_type cispo" in said("cispo", delta=4)
    assert said("cispo", epsilon_high=4) == ""
    assert said("grpo", epsilon=0.1, delta=4) == ""


def stuff(kill_at: int | None = None) -> Any:
    reward = letter_share(make_tokenizer())
    reward = reward if kill_at is None else killing_at(kill_at, reward)
    return training_data(NAMES, reward, extra=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_it_trains_and_resumes_exactly(tiny_model: Path, tmp_path: Path, name: str) -> None:
    """Killed in the second half, and continued: the same weights as a run that was not."""
    updates = LOSSES[name][1]
    more = {**SMALL, "steps_per_generation": updates, "preset": name}
    whole = start(config("grpo", tiny_model, tmp_path / "whole", **more), stuff())
    assert whole.report["method"] == LOSSES[name][0]
    lines = [line for line in read_log(whole.output / LOG) if "loss" in line]
    assert len(lines) == 8
    assert all(isinstance(line["loss"], float) for line in lines)
    assert any(line["grad_norm"] > 0 for line in lines)
    assert weights_hash(whole.final) != weights_hash(tiny_model)
    settings = config("grpo", tiny_model, tmp_path / "killed", **more)
    with pytest.raises(KilledError):
        start(settings, stuff(kill_at=4))
    again = start(settings, stuff())
    assert again.resumed_from == 4
    assert weights_hash(again.final) == weights_hash(whole.final)


@pytest.mark.slow
def test_the_losses_are_different_ones(tiny_model: Path, tmp_path: Path) -> None:
    """From the same samples, no two of them make the same weights."""
    found = {}
    for name in (*LOSSES, None):
        more = {**SMALL, "max_steps": 4, "steps_per_generation": 2, "preset": name}
        result = start(config("grpo", tiny_model, tmp_path / str(name), **more), stuff())
        found[name] = weights_hash(result.final)
    assert len(set(found.values())) == len(found)
