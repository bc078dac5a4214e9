"""Apply an adapter to its base, merge it, and prove that the result answers as both did.

PEFT only warns when weights of the adapter are missing, and merges into a matrix that another layer
shares without a word. Here that is an error, or mended: the scores would be of another model.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_eval.models.loading import shortened

if TYPE_CHECKING:
    from pathlib import Path

_LOG: Final = logging.getLogger(__name__)
_PROBED: Final = 16
"""Tokens of the probe."""
_ROUNDING: Final = 0.01
"""Relative distance of logits that merging in float32 may cost; DoRA's norms take most of it."""
_START_AT_ZERO: Final = ("lora_B", "lora_embedding_A")
_SHORT_ROUNDING: Final = 0.25
"""The same in half precision, where each merged weight is rounded."""


def merge_adapter(model: Any, path: Path) -> tuple[Any, dict[str, Any]]:
    """Apply and merge the adapter in `path`; return the plain model and what was changed.

    Raises `UsageError` when the adapter does not fit, cannot be merged, or when the merged model
    does not answer like base and adapter.
    """
    try:
        from peft import PeftModel
        from peft.tuners.tuners_utils import BaseTunerLayer
    except ImportError:
        raise UsageError(
            "an adapter needs the package peft; pip install 'recode-eval[transformers]'"
        ) from None
    _resize_embeddings(model, path)
    try:
        wrapped = PeftModel.from_pretrained(model, path).eval()
    except Exception as error:  # mismatched shapes, unknown methods, damaged files
        raise UsageError(f"the adapter {path} does not fit its base: {shortened(error)}") from error
    _check_adapter_arrived(wrapped, path)
    layers = {
        name: module.get_base_layer()
        for name, module in wrapped.named_modules()
        if isinstance(module, BaseTunerLayer)
    }
    if not layers or not hasattr(wrapped, "merge_and_unload"):
        raise UsageError(
            f"the adapter {path} cannot be merged; only LoRA and its variants are supported"
        )
    for layer in layers.values():
        _untie(model, layer)
    wanted = _probed(wrapped)
    before = {name: _checksum(layer) for name, layer in layers.items()}
    trained = _has_effect(wrapped)
    try:
        merged = wrapped.merge_and_unload(safe_merge=True)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"the adapter {path} cannot be merged: {shortened(error)}") from error
    _note_untied(merged)
    _check_answers(merged, wanted, path)
    changed = sum(_checksum(layer) != before[name] for name, layer in layers.items())
    if trained and not changed:
        raise UsageError(
            f"merging the adapter {path} changed no weight: its effect is lost in rounding;"
            " use --dtype float32"
        )
    if not trained:
        _LOG.warning("the adapter %s is untrained: it does not change the model", path)
    return merged, {"layers": len(layers), "layers_changed": changed, "trained": trained}


def _check_adapter_arrived(wrapped: Any, path: Path) -> None:
    """Compare the file's weights with those in the model; PEFT itself only warns."""
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights

    in_file = load_peft_weights(str(path), device="cpu")
    in_model = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    lost = sorted(set(in_model) - set(in_file))
    if lost:
        raise UsageError(
            f"the adapter {path} lacks {len(lost)} weights that its config announces"
            f" (first: {lost[0]})"
        )
    everything = get_peft_model_state_dict(wrapped, save_embedding_layers=True)
    unused = sorted(set(in_file) - set(everything))
    if unused:
        raise UsageError(
            f"{len(unused)} weights of the adapter {path} belong to no part of the model"
            f" (first: {unused[0]}); is it an adapter of this base?"
        )


def _has_effect(wrapped: Any) -> bool:
    """Whether any weight that starts at zero has left it; an untrained LoRA has not."""
    zeros = [
        weight
        for name, weight in wrapped.named_parameters()
        if any(part in name for part in _START_AT_ZERO)
    ]
    return not zeros or any(bool(weight.detach().any()) for weight in zeros)


def _checksum(layer: Any) -> tuple[float, float]:
    weight = layer.weight.detach().float()
    return float(weight.sum()), float(weight.abs().sum())


def _resize_embeddings(model: Any, path: Path) -> None:
    """Give the model the rows of an adapter that was trained with added tokens.

    Such an adapter holds the whole embeddings; into a base of another size they cannot be loaded.
    """
    rows = _embedding_rows(model, path)
    own = model.get_input_embeddings().weight.shape[0]
    if rows is None or rows == own:
        return
    if rows < own:
        raise UsageError(
            f"the adapter {path} does not fit its base: it has {rows} embeddings, the base {own}; "
            "is it an adapter of this base?"
        )
    _LOG.info("the adapter %s adds %d embeddings to the %d of its base", path, rows - own, own)
    model.resize_token_embeddings(rows, mean_resizing=False)


def _embedding_rows(model: Any, path: Path) -> int | None:
    """Return how many embeddings the adapter has; None where it has none of its own."""
    from peft.utils import load_peft_weights

    ends = {
        name
        for name, module in model.named_modules()
        if module is model.get_input_embeddings() or module is model.get_output_embeddings()
    }
    try:
        weights = load_peft_weights(str(path), device="cpu")
    except Exception:  # noqa: BLE001 - applying the adapter reports what is wrong with its file
        return None
    for name, weight in weights.items():
        module = name.removeprefix("base_model.model.").removesuffix(".weight")
        module = module.removesuffix(".base_layer")
        if module in ends and weight.ndim == 2:
            return int(weight.shape[0])
    return None


def _untie(model: Any, layer: Any) -> None:
    """Give a layer that is merged into a matrix of its own, if another layer shares it.

    The embeddings and the last layer of many small models are one matrix. An adapter on one of them
    must not change the other.
    """
    import torch

    owners = sum(
        weight is layer.weight for _, weight in model.named_parameters(remove_duplicate=False)
    )
    if owners > 1:
        layer.weight = torch.nn.Parameter(layer.weight.detach().clone(), requires_grad=False)


def _note_untied(model: Any) -> None:
    """Let the configuration say that the embeddings are two matrices, where merging parted them."""
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    if first is None or last is None or first.weight is last.weight:
        return
    for config in (model.config, model.config.get_text_config()):
        if getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False
    # What is tied was noted when the model was made; saving leaves such weights out.
    model.all_tied_weights_keys = {
        key: value
        for key, value in getattr(model, "all_tied_weights_keys", {}).items()
        if _shared(model, key, value)
    }


def _shared(model: Any, one: str, other: str) -> bool:
    try:
        return model.get_parameter(one) is model.get_parameter(other)
    except AttributeError:
        return False


def _probed(model: Any) -> Any:
    """Return the logits of a few tokens from all over the vocabulary."""
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    ids = torch.linspace(0, rows - 1, _PROBED, device=model.device).long().unsqueeze(0)
    with torch.inference_mode():
        return model(input_ids=ids).logits.float()


def _check_answers(merged: Any, wanted: Any, path: Path) -> None:
    """Raise `UsageError` unless the merged model answers as base and adapter did."""
    import torch

    found = _probed(merged).to(wanted.device)
    if not (torch.isfinite(found).all() and torch.isfinite(wanted).all()):
        return  # half precision may overflow; there is nothing to compare
    short = merged.dtype in {torch.float16, torch.bfloat16}
    distance = float((found - wanted).norm() / wanted.norm().clamp_min(1e-6))
    if distance > (_SHORT_ROUNDING if short else _ROUNDING):
        raise UsageError(
            f"merging the adapter {path} changes the model's answers: its logits differ by "
            f"{100 * distance:.1f} % from those of base and adapter"
            + ("; use --dtype float32" if short else "; it cannot be merged")
        )
