"""Checks of settings that depend on one another; those of single values are in their types."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from recode_eval.errors import UsageError
from recode_eval.plugins import unknown
from recode_train.own_rewards import is_own
from recode_train.setting_types import FORM_REWARDS, REWARDS

if TYPE_CHECKING:
    from recode_train.config import TrainConfig


def check(config: TrainConfig) -> None:
    """Raise `UsageError` for settings that do not fit together, whatever the model and the data."""
    _check_rewards(config)
    if config.loss_type == "luspo" and config.importance_sampling_level != "sequence":
        raise UsageError(
            "loss_type luspo weights whole completions; set importance_sampling_level=sequence."
        )
    if config.samples and config.dynamic_sampling and config.scale_rewards == "batch":
        raise UsageError(
            "scale_rewards=batch and dynamic_sampling exclude each other: a batch comes from "
            "several rounds, each with its own standard deviation. Use scale_rewards=group or "
            "none."
        )
    if config.samples and not config.method.converses and (config.tools or config.turns > 1):
        raise UsageError(
            f"{config.label} cannot train with tools and turns; use grpo or dapo, or leave them "
            "out."
        )
    if config.method.asks and config.completions is None and config.top_k:
        raise UsageError(
            f"{config.label} samples with recode-eval, which has no top_k; set top_k=0."
        )
    names = {item.name for item in dataclasses.fields(config)}
    if taken := sorted(set(config.trainer_args) & names):
        raise UsageError(f"trainer_args: {taken[0]} has its own setting; set {taken[0]} instead.")


def _check_rewards(config: TrainConfig) -> None:
    for name in config.rewards:
        if name not in REWARDS and not is_own(name):
            raise UsageError(unknown("reward", name, REWARDS))
    if not config.samples:
        return
    if not any(weight for name, weight in config.rewards.items() if name != "overlong"):
        raise UsageError("No reward has a weight, so the model would learn nothing; set rewards.")
    for name in FORM_REWARDS:
        if config.turns > 1 and config.rewards.get(name):
            raise UsageError(
                f"The reward {name} judges the form of a written answer, and with turns above 1 an "
                f"answer is a program handed in by a tool; set rewards.{name}=0."
            )
