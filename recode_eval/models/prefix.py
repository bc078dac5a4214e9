"""One prefill for all samples of a problem, in a cache of keys and values that has room to grow.

The samples of a problem continue the same prompt. The model reads each distinct prompt of a batch
once, all but its last token; its keys and values are then copied to the rows that continue it.
The library's own cache copies everything it holds for each new token; the layers here keep spare
room at their end, so that a new token is one write.

Layers that hold anything but keys and values (state-space, hybrid, compressed, quantized) cannot be
copied that way. A model with such layers generates as the library does, and the log says why.
"""

from __future__ import annotations

import functools
import inspect
import logging
from typing import Any, Final

from recode_eval.models.memory import is_out_of_memory

_LOG: Final = logging.getLogger(__name__)
_SPARE: Final = 128
"""Tokens of room that a layer adds when it is full: one copy of the cache per so many tokens."""


class PrefixSharing:
    """Prepares the caches of one model's batches."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.obstacle = _obstacle(model)
        """Why the rows of a batch do not share a prefill, as a clause; None where they do."""
        if self.obstacle is not None:
            self._tell()

    def start(self, ids: Any, mask: Any) -> dict[str, Any]:
        """Prefill the batch; return what `generate` must be given besides `ids` and `mask`.

        `ids` and `mask` are integer tensors of shape (rows, width), padded on the left. The result
        is empty for a model whose rows cannot share a prefill. Raises whatever the engine raises
        when memory runs out.
        """
        if self.obstacle is not None:
            return {}
        try:
            return {_cache_name(self._model): self._filled(ids, mask)}
        except Exception as error:  # another version of the library, an unusual model
            if is_out_of_memory(error):
                raise
            text = " ".join(str(error).split())[:200]
            self.obstacle = f"prefilling its prompts apart failed ({type(error).__name__}: {text})"
        self._tell()
        return {}

    def close(self) -> None:
        """Let go of the model."""
        self._model = None

    def _filled(self, ids: Any, mask: Any) -> Any:
        """A cache of all but the last token of every row; empty if no two rows are alike."""
        import torch

        cache = _new_cache(self._model)
        width = ids.shape[1]
        distinct, origin = torch.unique(torch.cat([ids, mask], dim=1), dim=0, return_inverse=True)
        if len(distinct) == len(ids) or int(mask.sum(dim=1).min()) < 2:
            return cache
        self._prefill(cache, distinct[:, :width], distinct[:, width:])
        cache.batch_select_indices(origin.cpu())  # the layers may be on several devices
        return cache

    def _prefill(self, cache: Any, ids: Any, mask: Any) -> None:
        """Read all but the last token of `ids` into `cache`."""
        accepted = inspect.signature(self._model.forward).parameters
        inputs = {"input_ids": ids[:, :-1], "use_cache": True, _cache_name(self._model): cache}
        if not bool(mask.all()):
            inputs["attention_mask"] = mask[:, :-1]
        if "position_ids" in accepted:
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            inputs["position_ids"] = positions[:, :-1]
        if "logits_to_keep" in accepted:  # the logits of a whole prompt take much memory
            inputs["logits_to_keep"] = 1
        self._model(**inputs)

    def _tell(self) -> None:
        _LOG.info("each sample gets its own prefill: %s", self.obstacle)


def _obstacle(model: Any) -> str | None:
    """Why the rows of `model` cannot share a prefill; None where they can."""
    kind = type(model).__name__
    if not type(model).__module__.startswith("transformers."):
        return f"{kind} is not a model of the transformers library"
    text_config = model.config.get_text_config(decoder=True)
    if model.config.is_encoder_decoder or text_config is not model.config:
        return f"{kind} is not a text-only decoder"
    if _cache_name(model) is None:
        return f"{kind} takes no cache"
    from transformers.cache_utils import DynamicSlidingWindowLayer

    try:
        layers = _new_cache(model).layers
    except Exception as error:  # noqa: BLE001 - an unknown kind of layer, an older release
        return f"no cache can be made for {kind} ({type(error).__name__})"
    copied = (_roomy_layer(), DynamicSlidingWindowLayer)
    foreign = sorted({type(layer).__name__ for layer in layers if type(layer) not in copied})
    if foreign or not layers:
        return f"{kind} keeps more than keys and values ({', '.join(foreign) or 'no layers'})"
    return None


def _cache_name(model: Any) -> Any:
    """What the model calls its cache: `cache`, in older releases `past_key_values`."""
    accepted = inspect.signature(model.forward).parameters
    return next((name for name in ("cache", "past_key_values") if name in accepted), None)


def _new_cache(model: Any) -> Any:
    """An empty cache for `model`, whose layers of full attention have room to grow."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    untyped: Any = DynamicCache
    cache = untyped(config=model.config.get_text_config(decoder=True))
    roomy = _roomy_layer()
    cache.layers = [roomy() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


@functools.cache  # one class, so that layers can be told by it
def _roomy_layer() -> Any:
    from transformers.cache_utils import DynamicLayer

    return type("RoomyLayer", (_Room, DynamicLayer), {})


class _Room:
    """The part of a layer that appends in place; the library's layer does everything else."""

    _key_room: Any = None
    _value_room: Any = None

    def update(self: Any, key_states: Any, value_states: Any, *_: Any, **__: Any) -> Any:
        """Append tokens of shape (rows, heads, tokens, size); return all keys and all values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self._key_room, self.keys = _append(self._key_room, self.keys, key_states)
        self._value_room, self.values = _append(self._value_room, self.values, value_states)
        return self.keys, self.values


def _append(room: Any, held: Any, new: Any) -> tuple[Any, Any]:
    """Write `new` after `held`; return their memory and the part of it that is in use.

    `held` lies at the start of `room`, unless rows were selected or tokens dropped since.
    """
    length = held.shape[-2] if held.numel() else 0
    end = length + new.shape[-2]
    if (
        room is None
        or held.data_ptr() != room.data_ptr()
        or len(held) != len(room)
        or end > room.shape[-2]
    ):
        room = new.new_empty((*new.shape[:-2], end + _SPARE, new.shape[-1]))
        if length:
            room[..., :length, :] = held
    room[..., length:end, :] = new
    return room, room[..., :end, :]
