"""DAPO: GRPO's trainer with dynamic sampling; the rest of DAPO is a matter of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from recode_train.algorithms import Algorithm
from recode_train.trainers import grpo
from recode_train.trainers.dynamic_sampling import DynamicSampling
from recode_train.trainers.ordering import PromptStream

if TYPE_CHECKING:
    from recode_train.budget import Budget
    from recode_train.config import TrainConfig
    from recode_train.trainers.training_data import TrainingData


def build_dapo(
    config: TrainConfig,
    data: TrainingData,
    model: Any,
    callbacks: list[Any],
    budget: Budget,
) -> Any:
    """Return TRL's trainer with dynamic sampling, ready to train; raises `UsageError`."""
    trainer = grpo.build_grpo(config, data, model, callbacks, budget, DynamicSampling)
    trainer.rows = grpo.rows_of(data)
    # An order of its own: the prompts of the batches are the same as without dynamic sampling.
    trainer.refills = PromptStream(len(trainer.rows), f"{config.seed}:refill", budget.refill_cursor)
    trainer.rounds = config.dynamic_sampling_rounds
    return trainer


ALGORITHM: Final = Algorithm(
    name="dapo",
    label="DAPO",
    summary="reinforcement learning: GRPO with DAPO's clipping, loss and dynamic sampling",
    samples=True,
    build=grpo.build,
    check=grpo.check,
    trl_arguments=grpo.TRL_ARGUMENTS,
    # Yu et al. 2025, arXiv 2503.14476: loss per token, no KL, clip-higher, dynamic sampling.
    defaults={
        "loss_type": "dapo",
        "beta": 0.0,
        "epsilon": 0.2,
        "epsilon_high": 0.28,
        "dynamic_sampling": True,
        "rewards": {"format": 1.0, "es_star": 1.0, "overlong": 1.0},
        "steps_per_generation": 2,
    },
)
