"""Turn our configuration into the arguments of TRL's trainers."""

from __future__ import annotations

import dataclasses
import importlib.util
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_train import trackers
from recode_train.trainers.refusals import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_train.config import TrainConfig

_FEWEST_CHECKPOINTS: Final = 2
"""A checkpoint is marked after the oldest is removed; a kill in between must leave one."""
_PATIENCE_S: Final = 6 * 3600
"""How long processes wait for one that evaluates or runs programs."""
_WITHOUT_EFFECT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model_init_kwargs": "recode-train loads the model itself; set dtype, attn_implementation "
        "or trust_remote_code",
        "num_train_epochs": "max_steps decides how long the training is",
        "resume_from_checkpoint": "the same command continues a run",
        "load_best_model_at_end": "use eval_steps, or the gate, and choose a checkpoint",
        "do_train": "recode-train always trains",
        "do_eval": "use eval_steps and eval_tasks",
        "do_predict": "use recode-eval",
        "eval_strategy": "use eval_steps and eval_tasks",
    }
)
"""Arguments that TRL's trainers take and that would do nothing here, and what to do instead."""
_PACKAGES: Final[Mapping[str, str]] = MappingProxyType(
    {"use_vllm": "vllm", "use_liger_kernel": "liger_kernel", "deepspeed": "deepspeed"}
)
"""Settings and entries of `trainer_args` that need a package of their own."""


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
        if name in _WITHOUT_EFFECT:
            raise UsageError(f"trainer_args: {name} has no effect: {_WITHOUT_EFFECT[name]}.")
        if name not in names:
            kind = f"entry of trainer_args (an argument of {config_class.__name__})"
            raise UsageError(unknown(kind, name, names))
        if name in settings:
            raise UsageError(f"trainer_args: recode-train sets {name} itself; leave it out.")
    trackers.require(config.report_to)
    for name, package in _PACKAGES.items():
        wanted = settings.get(name) or config.trainer_args.get(name)
        if wanted and importlib.util.find_spec(package) is None:
            raise UsageError(
                f"{name} needs the package {package}, which is missing: pip install "
                f"{package.replace('_', '-')}, or leave it out."
            )
    if "activation_checkpointing" in names:  # its name since transformers 5.23
        settings["activation_checkpointing"] = settings.pop("gradient_checkpointing")
    try:
        return config_class(**settings, **config.trainer_args)
    except (TypeError, ValueError) as error:
        raise UsageError(f"TRL refuses the settings: {' '.join(str(error).split())}") from error


def alone(config: TrainConfig) -> TrainConfig:
    """Return settings of a single process with the batches of all, to check them in one.

    TRL compares sizes of batches with the number of processes that run.
    """
    batch = config.per_device_train_batch_size * config.num_processes
    return dataclasses.replace(config, num_processes=1, per_device_train_batch_size=batch)


def check_optimizer(arguments: Any) -> None:
    """Raise `UsageError` for an optimizer or a schedule that cannot be made with its arguments."""
    import torch
    from transformers import Trainer, get_scheduler

    with refusals():
        Trainer.get_optimizer_cls_and_kwargs(arguments)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        get_scheduler(
            arguments.lr_scheduler_type,
            optimizer=optimizer,
            num_warmup_steps=int(arguments.warmup_steps),
            num_training_steps=arguments.max_steps,
            scheduler_specific_kwargs=arguments.lr_scheduler_kwargs,
        )


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
        "report_to": list(config.report_to) or "none",
        "disable_tqdm": True,
        "ddp_timeout": _PATIENCE_S,
        "remove_unused_columns": False,
    }
