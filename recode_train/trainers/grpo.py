"""GRPO, and the part of it that DAPO shares: TRL's GRPOTrainer on prompts in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError
from recode_train.batch_math import arithmetic
from recode_train.trainers import arguments, loading
from recode_train.trainers.ordering import long_order
from recode_train.trainers.recording import TRL_VERSION, Recording

if TYPE_CHECKING:
    from recode_train.config import TrainConfig
    from recode_train.progress import Progress
    from recode_train.trainers.training_data import Material


def rows_of(material: Material) -> list[dict[str, str]]:
    """Return the rows of the data set, one per prompt."""
    return [{"prompt": p.text, "pair_id": p.pair_id} for p in material.prompts]


def build(
    config: TrainConfig,
    material: Material,
    model: Any,
    callbacks: list[Any],
    progress: Progress,
    mixin: type[Recording] = Recording,
) -> Any:
    """Return TRL's trainer with our mixin, ready to train; raises `UsageError`."""
    import trl
    from datasets import Dataset

    if not trl.__version__.startswith(f"{TRL_VERSION}."):
        raise UsageError(
            f"recode-train needs TRL {TRL_VERSION}, found {trl.__version__}: it relies on parts "
            f"that TRL may change. pip install 'trl=={TRL_VERSION}.*'"
        )
    if material.rewards is None:
        raise UsageError("GRPO and DAPO need reward functions.")
    rows = rows_of(material)
    sizes = arithmetic(config, len(rows))
    order = long_order(
        len(rows), sizes.generations * sizes.prompts_per_generation, str(config.seed)
    )
    trainer_class: Any = type(f"{mixin.__name__}GRPOTrainer", (mixin, trl.GRPOTrainer), {})
    trainer = trainer_class(
        model=model,
        reward_funcs=list(material.rewards.functions),
        args=_arguments(config, material, trl.GRPOConfig),
        train_dataset=Dataset.from_list(rows).select(order),
        processing_class=material.tokenizer,
        peft_config=loading.adapter(config),
        callbacks=callbacks,
    )
    trainer.progress = progress
    trainer.decisive = list(material.rewards.decisive)
    trainer.expected_ids = {p.text: p.token_ids for p in material.prompts}
    return trainer


def _arguments(config: TrainConfig, material: Material, config_class: Any) -> Any:
    assert material.rewards is not None
    vllm: dict[str, Any] = {}
    if config.use_vllm:
        vllm = {
            "use_vllm": True,
            "vllm_mode": config.vllm_mode,
            "vllm_gpu_memory_utilization": config.vllm_gpu_memory_utilization,
            "vllm_tensor_parallel_size": config.vllm_tensor_parallel_size,
        }
        if config.vllm_server_base_url is not None:
            vllm["vllm_server_base_url"] = config.vllm_server_base_url
    return arguments.build(
        config_class,
        config,
        num_generations=config.num_generations,
        steps_per_generation=config.steps_per_generation,
        num_iterations=config.num_iterations,
        max_completion_length=config.max_completion_length,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        loss_type=config.loss_type,
        beta=config.beta,
        epsilon=config.epsilon,
        epsilon_high=config.epsilon_high,
        scale_rewards=config.scale_rewards,
        mask_truncated_completions=config.mask_truncated_completions,
        use_bias_correction_kl=config.use_bias_correction_kl,
        reward_weights=list(material.rewards.weights),
        shuffle_dataset=False,
        **vllm,
    )
