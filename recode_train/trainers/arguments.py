"""Turn our configuration into the arguments of TRL's trainers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from recode_train.config import TrainConfig

_FEWEST_CHECKPOINTS: Final = 2
"""A checkpoint is marked after the oldest is removed; a kill in between must leave one."""
_PATIENCE_S: Final = 6 * 3600
"""How long processes wait for one that evaluates or runs programs."""


def kept_checkpoints(config: TrainConfig) -> int:
    """Return how many checkpoints are kept."""
    return max(config.save_total_limit, _FEWEST_CHECKPOINTS)


def build(config_class: Any, config: TrainConfig, **more: Any) -> Any:
    """Return an instance of TRL's `config_class`.

    It gets the settings that all algorithms share, the algorithm's `trl_arguments`, and `more`.

    Raises `UsageError` for an entry of `trainer_args` that the class does not know or takes.
    """
    from recode_eval.plugins import unknown

    names = [field.name for field in dataclasses.fields(config_class) if field.init]
    own = {name: getattr(config, name) for name in config.method.trl_arguments}
    settings = {**_shared(config), **own, **more}
    for name in config.trainer_args:
        if name not in names:
            kind = f"entry of trainer_args (an argument of {config_class.__name__})"
            raise UsageError(unknown(kind, name, names))
        if name in settings:
            raise UsageError(f"trainer_args: recode-train sets {name} itself; leave it out.")
    try:
        return config_class(**settings, **config.trainer_args)
    except (TypeError, ValueError) as error:
        raise UsageError(f"TRL refuses the settings: {' '.join(str(error).split())}") from error


def _shared(config: TrainConfig) -> dict[str, Any]:
    import torch

    accelerated = torch.cuda.is_available()
    bf16 = accelerated and torch.cuda.is_bf16_supported() if config.bf16 is None else config.bf16
    checkpointing = (
        accelerated if config.gradient_checkpointing is None else config.gradient_checkpointing
    )
    return {
        "output_dir": config.output,
        "seed": config.seed,
        "max_steps": config.max_steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_scheduler_type,
        "warmup_steps": config.warmup_steps,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "optim": config.optim,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "bf16": bf16,
        "gradient_checkpointing": checkpointing,
        "use_cpu": not accelerated,
        "dataloader_pin_memory": accelerated,
        "logging_strategy": "steps",
        "logging_steps": config.logging_steps,
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": kept_checkpoints(config),
        "report_to": "none",
        "disable_tqdm": True,
        "ddp_timeout": _PATIENCE_S,
        "remove_unused_columns": False,
    }
