"""DAPO: GRPO's trainer with dynamic sampling; the rest of DAPO are settings (see the presets)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError
from recode_train.trainers import grpo
from recode_train.trainers.dynamic_sampling import DynamicSampling
from recode_train.trainers.ordering import PromptStream

if TYPE_CHECKING:
    from recode_train.config import TrainConfig
    from recode_train.progress import Progress
    from recode_train.trainers.training_data import Material


def build(
    config: TrainConfig,
    material: Material,
    model: Any,
    callbacks: list[Any],
    progress: Progress,
) -> Any:
    """Return TRL's trainer with dynamic sampling, ready to train; raises `UsageError`."""
    check(config, material)
    trainer = grpo.build(config, material, model, callbacks, progress, DynamicSampling)
    trainer.rows = grpo.rows_of(material)
    # An order of its own: the prompts of the batches are the same as without dynamic sampling.
    trainer.refills = PromptStream(
        len(trainer.rows), f"{config.seed}:refill", progress.refill_cursor
    )
    trainer.rounds = config.dynamic_sampling_rounds
    return trainer


def check(config: TrainConfig, material: Material) -> None:
    """Raise `UsageError` for what dynamic sampling cannot work with."""
    if config.scale_rewards == "batch":
        raise UsageError(
            "scale_rewards=batch does not go with dynamic_sampling: a batch is put together from "
            "several rounds, each with a deviation of its own. Use group or none."
        )
    if material.rewards is not None and not any(material.rewards.decisive):
        raise UsageError(
            "dynamic_sampling needs a reward that can tell a flat group; the overlong penalty "
            "alone does not count."
        )
