"""Merge an adapter into its base: one folder that any engine loads."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from recode_eval.errors import StorageError, UsageError


def merge(adapter: str, out: Path, *, base: str | None = None) -> None:
    """Write the base model of `adapter`, with the adapter merged in, to the new folder `out`.

    An adapter on one of two tied matrices (the embeddings and the last layer) parts them: the
    merged model has both. The weights are merged in float32 and written in the base's number format
    (float32 for a GGUF file), with the tokenizer that the adapter was trained with.

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

        from recode_eval.models.loading import check_token_ids, load_model, load_tokenizer

        source = checkpoint.model
        stored = None if source.gguf else AutoConfig.from_pretrained(source.path).dtype
    except ImportError as error:
        raise UsageError(
            f"Merging needs {error.name}: pip install 'recode-eval[train]'."
        ) from error
    if source.gguf:
        shape = read_shape(source.location)
        needed = shape.parameters * 4 if shape else 0
    else:
        needed = sum(f.stat().st_size for f in source.path.glob("*.safetensors"))
    parent = next(p for p in out.absolute().parents if p.is_dir())
    if needed > shutil.disk_usage(parent).free:
        raise StorageError(f"The merged model does not fit in {parent}; free some space.")
    model, _ = load_model(checkpoint, options)
    tokenizer = load_tokenizer(checkpoint, options)
    check_token_ids(model, tokenizer, checkpoint.tokenizer.location)
    if stored is not None:
        model = model.to(stored)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Never half a model under the final name; and two merges into one folder cannot mix.
        with tempfile.TemporaryDirectory(prefix=".merging-", dir=out.parent) as scratch:
            whole = Path(scratch) / "model"
            model.save_pretrained(whole)
            tokenizer.save_pretrained(whole)
            whole.replace(out)
    except OSError as error:
        raise StorageError(f"Cannot write {out}: {error.strerror or error}.") from error
