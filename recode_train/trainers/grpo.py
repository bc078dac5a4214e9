"""GRPO, and the part of it that DAPO shares: TRL's GRPOTrainer on prompts in a fixed order."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_eval.integrations.trl_environment import most_iterations
from recode_train.algorithms import Algorithm
from recode_train.tool_calls import conversation_settings, environment_factory
from recode_train.trainers import arguments, loading
from recode_train.trainers.ordering import long_order
from recode_train.trainers.recording import TRL_VERSION, Recording
from recode_train.trainers.tool_calling import ToolCalling

if TYPE_CHECKING:
    from recode_train.budget import Budget
    from recode_train.config import TrainConfig
    from recode_train.rewards import Rewards
    from recode_train.trainers.training_data import TrainingData

TRL_ARGUMENTS: Final = (
    "num_generations", "steps_per_generation", "num_iterations", "max_completion_length",
    "temperature", "top_p", "top_k", "loss_type", "importance_sampling_level", "beta", "epsilon",
    "epsilon_high", "delta", "scale_rewards", "mask_truncated_completions",
    "use_bias_correction_kl",
)  # fmt: skip


def rows_of(data: TrainingData) -> list[dict[str, Any]]:
    """Return the rows of the data set, one per prompt."""
    return [
        {"prompt": list(map(dict, p.messages)) or p.text, "pair_id": p.pair_id}
        for p in data.prompts
    ]


def build(
    config: TrainConfig, data: TrainingData, model: Any, callbacks: list[Any], budget: Budget
) -> Any:
    """Return the trainer, with dynamic sampling if the settings ask for it; raises `UsageError`."""
    if config.dynamic_sampling:
        from recode_train.trainers import dapo

        return dapo.build_dapo(config, data, model, callbacks, budget)
    return build_grpo(config, data, model, callbacks, budget)


def build_grpo(
    config: TrainConfig,
    data: TrainingData,
    model: Any,
    callbacks: list[Any],
    budget: Budget,
    mixin: type[Recording] = Recording,
) -> Any:
    """Return TRL's trainer with our mixin, ready to train; raises `UsageError`."""
    import trl

    check_version()
    rewards = rewards_of(config, data)
    with_tools = data.workbench is not None
    bases = (mixin, ToolCalling, trl.GRPOTrainer) if with_tools else (mixin, trl.GRPOTrainer)
    trainer_class: Any = type(f"{mixin.__name__}GRPOTrainer", bases, {})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*'environment_factory', which is an experim")
        trainer = trainer_class(
            model=model,
            reward_funcs=list(rewards.functions),
            args=trl_config(config, list(rewards.weights), trl.GRPOConfig),
            train_dataset=dataset_of(config, data),
            processing_class=data.tokenizer,
            peft_config=loading.adapter(config),
            callbacks=callbacks,
            environment_factory=environment_factory(data.workbench) if data.workbench else None,
        )
    record(trainer, data, budget)
    return trainer


def check_version() -> None:
    """Raise `UsageError` for another version of TRL than the one whose methods we override."""
    import trl

    if not trl.__version__.startswith(f"{TRL_VERSION}."):
        raise UsageError(
            f"recode-train needs TRL {TRL_VERSION}, found {trl.__version__}: it depends on "
            f"undocumented parts of TRL. Fix: pip install 'trl=={TRL_VERSION}.*'"
        )


def rewards_of(config: TrainConfig, data: TrainingData) -> Rewards:
    """Return the reward functions; raises `UsageError` if there are none."""
    if data.rewards is None:
        raise UsageError(f"{config.method.label} needs reward functions.")
    return data.rewards


def dataset_of(config: TrainConfig, data: TrainingData) -> Any:
    """Return TRL's data set: the prompts of all generations, epoch after epoch, in our order."""
    from datasets import Dataset

    from recode_train.batch_math import batch_sizes

    rows = rows_of(data)
    sizes = batch_sizes(config, len(rows))
    order = long_order(
        len(rows), sizes.generations * sizes.prompts_per_generation, str(config.seed)
    )
    return Dataset.from_list(rows).select(order)


def record(trainer: Any, data: TrainingData, budget: Budget) -> None:
    """Give a trainer with the mixin `Recording` what it counts and compares with."""
    assert data.rewards is not None
    trainer.budget = budget
    trainer.decisive = list(data.rewards.decisive)
    trainer.expected_ids = {p.text: p.token_ids for p in data.prompts}


def check(config: TrainConfig) -> None:
    """Raise `UsageError` for what TRL refuses, before anything is loaded."""
    import trl

    settings = trl_config(arguments.alone(config), list(config.rewards.values()), trl.GRPOConfig)
    arguments.check_optimizer(settings)


def trl_config(config: TrainConfig, weights: list[float], config_class: Any) -> Any:
    """Return TRL's configuration; `weights` are those of the reward functions."""
    more: dict[str, Any] = {}
    conversations = conversation_settings(config)
    if conversations is not None:
        more["max_tool_calling_iterations"] = most_iterations(conversations)
    more |= vllm_arguments(config)
    return arguments.build(
        config_class, config, reward_weights=weights, shuffle_dataset=False, **more
    )


def vllm_arguments(config: TrainConfig) -> dict[str, Any]:
    """Return TRL's arguments about vLLM; empty without it."""
    if not config.use_vllm:
        return {}
    more: dict[str, Any] = {
        "use_vllm": True,
        "vllm_mode": config.vllm_mode,
        "vllm_gpu_memory_utilization": config.vllm_gpu_memory_utilization,
        "vllm_tensor_parallel_size": config.vllm_tensor_parallel_size,
    }
    if config.vllm_server_base_url is not None:
        more["vllm_server_base_url"] = config.vllm_server_base_url
    return more


ALGORITHM: Final = Algorithm(
    name="grpo",
    label="GRPO",
    summary="reinforcement learning: Group Relative Policy Optimization",
    samples=True,
    build=build,
    check=check,
    trl_arguments=TRL_ARGUMENTS,
    # Shao et al. 2024, arXiv 2402.03300: loss per sequence, a penalty for the KL divergence.
    defaults={"loss_type": "grpo", "beta": 0.001, "use_bias_correction_kl": False},
)
