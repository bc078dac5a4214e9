"""Find, load and check the model to train, and describe its adapter."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from recode_eval.errors import UsageError
from recode_eval.plugins import unknown
from recode_train.batch_math import check_context
from recode_train.checkpoints import check_space
from recode_train.trainers.arguments import kept_checkpoints
from recode_train.trainers.refusals import refusals

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.models.checkpoint import Checkpoint
    from recode_eval.models.options import ModelOptions
    from recode_train.config import TrainConfig
    from recode_train.setting_types import NumberFormat

_ALL_LINEAR: Final = "all-linear"
_NUMBERS: Final = frozenset(map(str, range(10_000)))
"""Names of layers in a list."""
_DTYPES: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Files of a model, and how to read them."""

    checkpoint: Checkpoint
    options: ModelOptions

    @property
    def base(self) -> str:
        """What an adapter names as its base: the hub id, the folder, or the GGUF file."""
        return str(self.checkpoint.model.identity.get("hub", self.checkpoint.model.location))


def find(config: TrainConfig) -> ModelSource:
    """Find the model's files; loads nothing.

    Raises:
        UsageError: there is no such model, or it is an adapter whose base is missing, or one that
            full fine-tuning cannot start from.
        InfrastructureError: the hub cannot be reached.
    """
    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.options import ModelOptions

    options = ModelOptions(
        device="cpu",  # the trainer moves it, or shards it
        trust_remote_code=config.trust_remote_code,
        revision=config.model_revision,
    )
    checkpoint = resolve_checkpoint(config.model, options)
    if checkpoint.adapter is not None:
        raise UsageError(
            f"{config.model} is an adapter; merge it into its base first "
            f"(recode-train merge {config.model} FOLDER) and train the result."
        )
    if checkpoint.model.gguf is not None:
        _check_reference(config, checkpoint.model.location)
    dtype = _dtype(config, checkpoint.model.path)
    return ModelSource(checkpoint, ModelOptions(
        device="cpu", dtype=dtype, trust_remote_code=config.trust_remote_code,
        revision=config.model_revision,
    ))  # fmt: skip


def tokenizer(source: ModelSource) -> Any:
    """Load the tokenizer; raises `UsageError` if it cannot end a text."""
    from recode_eval.models.loading import load_tokenizer

    loaded = load_tokenizer(source.checkpoint, source.options)
    if loaded.eos_token_id is None:
        raise UsageError(
            f"The tokenizer of {source.base} has no EOS token, so no completion would ever end; "
            "add one to its tokenizer_config.json."
        )
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    return loaded


def model(source: ModelSource, config: TrainConfig, longest: int) -> Any:
    """Load the model; `longest` is the longest prompt, in tokens.

    Raises:
        UsageError: the files are not a complete causal language model, or the context is too short.
        InfrastructureError: there is not enough memory.
        StorageError: the checkpoints would not fit on the disk.
    """
    from recode_eval.models.loading import load_model

    _check_space(source, config)
    if config.tuning == "qlora":
        loaded = _in_four_bits(source, config)
    else:
        loaded, _ = load_model(source.checkpoint, source.options)
    if config.attn_implementation is not None:
        with refusals():
            loaded.set_attn_implementation(config.attn_implementation)
    _check_targets(loaded, config)
    context = getattr(loaded.config.get_text_config(), "max_position_embeddings", None)
    check_context(config, context if isinstance(context, int) else None, longest)
    return loaded


def check_four_bits(config: TrainConfig) -> None:
    """Raise `UsageError` where `tuning` is qlora and this machine cannot train so."""
    import torch

    if config.tuning != "qlora":
        return
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UsageError(
            "tuning qlora needs the package bitsandbytes, which is missing: pip install "
            "bitsandbytes, or set tuning=lora."
        )
    if not torch.cuda.is_available():
        raise UsageError("tuning qlora needs a GPU, and there is none here; set tuning=lora.")


def _in_four_bits(source: ModelSource, config: TrainConfig) -> Any:
    """Load the weights as QLoRA has them: four bits (NF4), computed with in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    check_four_bits(config)
    if source.checkpoint.model.gguf is not None:
        raise UsageError("tuning qlora cannot begin from a GGUF file; use its safetensors.")
    with refusals():
        return AutoModelForCausalLM.from_pretrained(
            source.checkpoint.model.path,
            dtype=torch.bfloat16,
            quantization_config=BitsAndBytesConfig(  # type: ignore[no-untyped-call]
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
            ),
            trust_remote_code=config.trust_remote_code,
        )


def adapter(config: TrainConfig) -> Any:
    """Return PEFT's description of the adapter; None for full fine-tuning."""
    if config.tuning == "full":
        return None
    from peft import LoraConfig

    targets: list[str] | str = list(config.lora_target_modules)
    if targets == [_ALL_LINEAR]:
        targets = _ALL_LINEAR
    return LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        use_dora=config.tuning == "dora",
        task_type="CAUSAL_LM",
    )


def _check_targets(loaded: Any, config: TrainConfig) -> None:
    """Raise `UsageError` for an adapter's target that names no part of the model.

    PEFT refuses only if *none* fits, and trains without the misspelt one.
    """
    names = [name for name, _ in loaded.named_modules() if name]
    targets = list(config.lora_target_modules)
    if config.tuning == "full" or targets == [_ALL_LINEAR]:
        return
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            parts = sorted({name.rpartition(".")[2] for name in names} - _NUMBERS)
            raise UsageError(
                unknown("part of the model in lora_target_modules", target, parts)
                + f" Or {_ALL_LINEAR} alone."
            )


def check_targets_of_files(config: TrainConfig, folder: Path) -> None:
    """Raise `UsageError` for an adapter's target that a model's configuration has no part for.

    The model is made without weights. What cannot be made so is checked when it is loaded.
    """
    if config.tuning == "full" or list(config.lora_target_modules) == [_ALL_LINEAR]:
        return
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        described = AutoConfig.from_pretrained(
            folder, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                described, trust_remote_code=config.trust_remote_code
            )
    except (OSError, ValueError, TypeError, RuntimeError, ImportError, NotImplementedError):
        return
    _check_targets(empty, config)


def check_tokens(loaded: Any, tokenizer: Any, source: ModelSource) -> None:
    """Raise `UsageError` for tokens without an embedding; padding gets one that has it."""
    from recode_eval.models.loading import check_token_ids

    check_token_ids(loaded, tokenizer, source.base)
    if tokenizer.pad_token_id >= loaded.get_input_embeddings().weight.shape[0]:
        tokenizer.pad_token = tokenizer.eos_token


def name_base(trained: Any, source: ModelSource) -> None:
    """Let the adapter name its base so that others can find it."""
    for description in getattr(trained, "peft_config", {}).values():
        description.base_model_name_or_path = source.base
        description.revision = source.checkpoint.model.identity.get("revision")


def _check_space(source: ModelSource, config: TrainConfig) -> None:
    """Raise `StorageError` if the disk cannot hold the checkpoints and the result."""
    from dataclasses import replace
    from pathlib import Path

    import torch

    from recode_train.memory_estimate import estimate_memory, read_shape

    kept = kept_checkpoints(config)
    shape = read_shape(source.checkpoint.model.location)
    if shape is None:
        return
    true = replace(config, save_total_limit=kept, dtype=cast("NumberFormat", source.options.dtype))
    needed = estimate_memory(true, shape, accelerator=torch.cuda.is_available()).checkpoints
    check_space(Path(config.output), needed, kept)


def _check_reference(config: TrainConfig, file: Path) -> None:
    """Raise `UsageError` if training needs the untrained model beside the trained one.

    TRL loads that one itself, by its folder, and cannot take it out of a GGUF file. Under an
    adapter it is the base that is in memory anyway.
    """
    if config.samples and config.tuning == "full" and config.beta > 0:
        raise UsageError(
            f"{file} is a GGUF file, from which the reference model of the KL divergence cannot be "
            f"loaded (beta is {config.beta:g}); set beta to 0, train an adapter (tuning lora), or "
            "start from a folder with safetensors."
        )


def _dtype(config: TrainConfig, folder: Path) -> str:
    """Return the number format to load the weights in.

    Full fine-tuning gets float32: in a shorter format small updates are lost in rounding. Under an
    adapter the frozen weights stay as they are stored.
    """
    import torch

    if config.dtype != "auto":
        return config.dtype
    if config.tuning == "full" or not torch.cuda.is_available():
        return "float32"
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "float32"  # loading reports what is wrong with the file
    stored = str(content.get("dtype", content.get("torch_dtype"))).removeprefix("torch.")
    return stored if stored in _DTYPES else "float32"
