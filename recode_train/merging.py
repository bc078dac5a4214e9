"""Merge an adapter into its base: one folder that any engine loads."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from recode_eval.errors import StorageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def merge(adapter: str, out: Path, *, base: str | None = None) -> None:
    """Write the base model of `adapter`, with the adapter merged in, to the new folder `out`.

    The weights are merged in float32 and written in the base's number format (float32 for a GGUF
    file), with the tokenizer that the adapter was trained with.

    Raises:
        UsageError: there is no such adapter or base, they do not fit, `out` is not empty, or the
            libraries are missing.
        StorageError: `out` cannot be written, or there is no space for it.
    """
    from recode_eval.models.checkpoint import read_adapter_config, resolve_checkpoint
    from recode_eval.models.options import ModelOptions
    from recode_train.memory_estimate import read_shape

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already; name a new folder.")
    options = ModelOptions(device="cpu", dtype="float32")
    if base is None:
        checkpoint = resolve_checkpoint(adapter, options)
    else:
        checkpoint = resolve_checkpoint(base, replace(options, adapter=adapter))
    if checkpoint.adapter is None:
        raise UsageError(
            f"{adapter} is a complete model, not an adapter: there is nothing to merge."
        )
    found = read_adapter_config(checkpoint.adapter.path)
    if found is not None and found.kind not in {"", "LORA"}:
        raise UsageError(
            f"{adapter} is an adapter of the kind {found.kind}, which recode-train cannot merge. "
            "Only LoRA and DoRA adapters can be merged."
        )
    try:
        from transformers import AutoConfig

        from recode_eval.models.loading import load_model, load_tokenizer

        source = checkpoint.model
        stored = None if source.gguf else AutoConfig.from_pretrained(source.path).dtype
    except ImportError as error:
        raise UsageError(
            f"Merging needs {error.name}: pip install 'recode-eval[train]'."
        ) from error
    if source.gguf:
        needed = read_shape(source.location).parameters * 4
    else:
        needed = sum(f.stat().st_size for f in source.path.glob("*.safetensors"))
    parent = next(p for p in out.absolute().parents if p.is_dir())
    if needed > shutil.disk_usage(parent).free:
        raise StorageError(f"The merged model does not fit in {parent}; free some space.")
    model, _ = load_model(checkpoint, options)
    if stored is not None:
        model = model.to(stored)
    try:
        out.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(out)
        load_tokenizer(checkpoint, options).save_pretrained(out)
    except OSError as error:
        raise StorageError(f"Cannot write {out}: {error.strerror or error}.") from error
