"""RLOO: REINFORCE with the mean reward of a prompt's other completions as the baseline.

TRL's RLOOTrainer with our prompts, rewards, order and counts. Source: Ahmadian et al. 2024,
*Back to Basics*, arXiv 2402.14740.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from recode_train.algorithms import Algorithm
from recode_train.trainers import arguments, grpo, loading
from recode_train.trainers.recording import Recording

if TYPE_CHECKING:
    from recode_train.budget import Budget
    from recode_train.config import TrainConfig
    from recode_train.trainers.training_data import TrainingData

TRL_ARGUMENTS: Final = (
    "num_generations", "steps_per_generation", "num_iterations", "max_completion_length",
    "temperature", "top_p", "top_k", "beta", "epsilon", "epsilon_high",
    "mask_truncated_completions",
)  # fmt: skip


class RlooRecording(Recording):
    """The mixin where the KL divergence is part of the reward."""

    beta: float
    environments: Any = None
    """TRL's RLOO has none."""

    def _without_effect(self, equal: list[bool]) -> list[bool]:
        # Equal rewards with different divergences are not equal.
        return [False] * len(equal) if self.beta else equal


def build(
    config: TrainConfig, data: TrainingData, model: Any, callbacks: list[Any], budget: Budget
) -> Any:
    """Return TRL's trainer with our mixin, ready to train; raises `UsageError`."""
    import trl

    grpo.check_version()
    rewards = grpo.rewards_of(config, data)
    trainer_class: Any = type("RecordingRLOOTrainer", (RlooRecording, trl.RLOOTrainer), {})
    trainer = trainer_class(
        model=model,
        reward_funcs=list(rewards.functions),
        args=trl_config(config, list(rewards.weights), trl.RLOOConfig),
        train_dataset=grpo.dataset_of(config, data),
        processing_class=data.tokenizer,
        peft_config=loading.adapter(config),
        callbacks=callbacks,
    )
    grpo.record(trainer, data, budget)
    return trainer


def trl_config(config: TrainConfig, weights: list[float], config_class: Any) -> Any:
    """Return TRL's configuration; `weights` are those of the reward functions."""
    return arguments.build(
        config_class,
        config,
        reward_weights=weights,
        shuffle_dataset=False,
        **grpo.vllm_arguments(config),
    )


def check(config: TrainConfig) -> None:
    """Raise `UsageError` for what TRL refuses, before anything is loaded."""
    import trl

    settings = trl_config(arguments.alone(config), list(config.rewards.values()), trl.RLOOConfig)
    arguments.check_optimizer(settings)


ALGORITHM: Final = Algorithm(
    name="rloo",
    label="RLOO",
    summary="reinforcement learning: REINFORCE with a leave-one-out baseline",
    samples=True,
    converses=False,
    build=build,
    check=check,
    trl_arguments=TRL_ARGUMENTS,
    # The paper's penalty is part of the reward; 0.05 is TRL's default.
    defaults={"beta": 0.05},
)
