"""Estimate the memory and disk that training a model takes, from the headers of its files.

Nothing else is read. The estimate serves planning; leave room to spare.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_train.batch_math import has_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recode_train.config import TrainConfig

_BYTES: Final = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}
_WIDTHS: Final = {"float32": 4, "bfloat16": 2, "float16": 2}
_LARGEST_HEADER: Final = 100 << 20
_NOT_ADAPTED: Final = ("embed", "lm_head", "wte", "wpe")
"""Parts of the names of matrices that `all-linear` leaves out."""
_NOT_ADAPTED_GGUF: Final = ("token_embd.weight", "output.weight", "position_embd.weight")
_DECIDING: Final = ("hidden_size", "num_hidden_layers", "vocab_size")
_ACTIVATIONS: Final = 17
"""Numbers kept per token, hidden unit and layer for the backward pass: 34 bytes of half precision,
after Korthikanti et al. 2022, arXiv 2205.05198, without the attention's matrix."""
_CHECKPOINTED: Final = 1


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The numbers that decide how much memory a model takes."""

    parameters: int
    width: int
    """Bytes of a weight on disk."""
    linear_sides: tuple[tuple[int, int], ...]
    """Rows and columns of the matrices that an adapter is put on."""
    hidden: int
    layers: int
    key_value_size: int
    """Numbers per token and layer of the cache for keys, and as many for values."""
    vocabulary: int
    context: int | None = None
    """Tokens that it takes, where its configuration says so."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of one process, if nothing is sharded; rough, within a factor of two."""

    weights: int
    gradients: int
    optimizer: int
    reference: int
    """A second copy of the weights, for the KL divergence of full fine-tuning."""
    backward: int
    """Activations and logits of one backward pass."""
    generation: int
    """Cache of keys and values of one generation (0 with a vLLM server)."""
    trainable: int
    """Parameters that are trained: a number, not bytes."""
    width: int
    """Bytes of a weight in memory; when all are trained also of a gradient and of a moment."""
    checkpoints: int
    """Bytes on disk at most: the kept checkpoints, one being written, and the result."""

    @property
    def total(self) -> int:
        """Bytes at the peak: generating and the backward pass do not fall together."""
        fixed = self.weights + self.gradients + self.optimizer + self.reference
        return fixed + max(self.backward, self.generation)


def read_shape(folder: Path) -> ModelShape | None:
    """Read the shape of the model in `folder`, which may be a GGUF file too.

    None for a family whose configuration does not name what decides: no estimate is no error.

    Raises:
        UsageError: there is no model, or it is an adapter.
        DataError: its config or a weights file is malformed.
    """
    from recode_eval.models.checkpoint import read_adapter_config
    from recode_eval.models.gguf import find_gguf

    file = find_gguf(folder)
    if file is not None:
        return _shape_of_gguf(file)
    adapter = read_adapter_config(folder)
    if adapter is not None:
        base = adapter.base or "its base"
        raise UsageError(
            f"{folder} is an adapter of {base}, not a whole model: give the base as --model, or "
            f"merge both first (recode-train merge {folder} OUT)."
        )
    config = _read_json(folder / "config.json")
    inner = config.get("text_config")
    value = _by_standard_name(inner if isinstance(inner, dict) else config)
    headers = [_header(path) for path in sorted(folder.glob("*.safetensors"))]
    tensors = {
        name: entry
        for header in headers
        for name, entry in header.items()
        if isinstance(entry, dict) and isinstance(entry.get("shape"), list)
    }
    parameters = sum(math.prod(entry["shape"]) for entry in tensors.values())
    parameters = parameters or _bytes_of_weights(folder) // 4
    if not parameters:
        raise UsageError(f"{folder} holds no weights: no .safetensors, .bin or .gguf file.")
    wanted = [value(name) for name in _DECIDING]
    if any(number is None for number in wanted):
        if "model_type" not in config:
            raise DataError(
                f"{folder / 'config.json'} does not describe a causal language model: it has no "
                "model_type."
            )
        return None
    try:
        hidden, layers, vocabulary = map(int, wanted)
        heads = int(value("num_attention_heads") or 1)
        head = int(value("head_dim") or hidden // heads)
        return ModelShape(
            parameters=parameters,
            width=max((_BYTES.get(entry["dtype"], 1) for entry in tensors.values()), default=4),
            linear_sides=tuple(
                (entry["shape"][0], entry["shape"][1])
                for name, entry in tensors.items()
                if len(entry["shape"]) == 2 and not any(part in name for part in _NOT_ADAPTED)
            ),
            hidden=hidden,
            layers=layers,
            key_value_size=int(value("num_key_value_heads") or heads) * head,
            vocabulary=vocabulary,
            context=_positive(value("max_position_embeddings")),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(
            f"{folder / 'config.json'} does not describe a causal language model "
            f"({type(error).__name__}: {error})."
        ) from error


def _positive(number: object) -> int | None:
    return number if isinstance(number, int) and number > 0 else None


def _by_standard_name(config: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return how to look up a number that the family may call otherwise (`n_embd` in GPT-2).

    The library knows each family's names. Without it, only the standard names are found.
    """
    own: Mapping[str, str] = {}
    if any(config.get(name) is None for name in _DECIDING):
        try:
            from transformers import CONFIG_MAPPING

            own = CONFIG_MAPPING[str(config.get("model_type"))].attribute_map
        except (ImportError, KeyError, AttributeError):  # a family of the model's own code
            own = {}

    def value(name: str) -> Any:
        found = config.get(name)
        return config.get(own.get(name, name)) if found is None else found

    return value


def _shape_of_gguf(file: Path) -> ModelShape:
    """Read the shape from a GGUF file, whose weights are expanded to float32 when it is loaded."""
    from recode_eval.models.gguf import read_header

    header = read_header(file)
    value = header.of_architecture
    try:
        heads, hidden = int(value("attention.head_count")), int(value("embedding_length"))
        return ModelShape(
            parameters=sum(math.prod(tensor.shape) for tensor in header.tensors),
            width=4,
            linear_sides=tuple(
                (tensor.shape[0], tensor.shape[1])
                for tensor in header.tensors
                if len(tensor.shape) == 2 and tensor.name not in _NOT_ADAPTED_GGUF
            ),
            hidden=hidden,
            layers=int(value("block_count")),
            key_value_size=int(value("attention.head_count_kv") or heads)
            * int(value("attention.key_length") or hidden // heads),
            vocabulary=int(value("vocab_size") or header.metadata["tokenizer.ggml.tokens"]),
            context=_positive(value("context_length")),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(
            f"{file} does not describe a causal language model ({type(error).__name__}: {error})."
        ) from error


def estimate_memory(config: TrainConfig, shape: ModelShape, *, accelerator: bool) -> MemoryEstimate:
    """Estimate what one process takes; `accelerator` says whether it has a GPU."""
    full = config.tuning == "full"
    # As the model is loaded: `auto` trains whole models in float32, whatever the checkpoint has.
    width = _WIDTHS.get(config.dtype, shape.width if accelerator and not full else 4)
    trainable = shape.parameters if full else _adapter_parameters(config, shape)
    trained_width = width if full else 4  # PEFT keeps adapters in float32
    sequence = config.max_prompt_length + config.max_completion_length
    # A pair of answers is two sequences.
    rows = config.per_device_train_batch_size * (2 if config.method.compares else 1)
    half = accelerator and config.bf16 is not False
    number = 2 if half else 4
    checkpointing = config.gradient_checkpointing
    kept = _CHECKPOINTED if (accelerator if checkpointing is None else checkpointing) else None
    activations = rows * sequence * shape.hidden * shape.layers * number * (kept or _ACTIVATIONS)
    # Logits of the trained part in float32, and as much again for their gradient.
    span = sequence if not config.samples else config.max_completion_length
    logits = 2 * 4 * rows * span * shape.vocabulary
    sampled = 0 if not config.samples else rows * config.steps_per_generation
    # With tools TRL generates a whole completion behind what it and the tools wrote, and cuts it.
    cached = sequence + (config.max_completion_length if has_tools(config) else 0)
    if config.use_vllm and config.vllm_mode == "server":
        sampled = 0
    refers = config.samples or config.method.compares
    weights = shape.parameters * width
    state = trainable * trained_width
    saved = (weights if full else state) + 2 * state  # weights and Adam's two moments
    return MemoryEstimate(
        weights=weights,
        gradients=state,
        optimizer=2 * state,
        reference=weights if full and config.beta > 0 and refers else 0,
        backward=activations + logits,
        generation=2 * sampled * cached * shape.layers * shape.key_value_size * number,
        trainable=trainable,
        width=width,
        checkpoints=saved * (config.save_total_limit + 1) + (weights if full else state),
    )


def _adapter_parameters(config: TrainConfig, shape: ModelShape) -> int:
    """Count the adapter's parameters: two thin matrices per layer, DoRA a vector besides.

    For `all-linear`; a choice of fewer modules takes less.
    """
    dora = config.tuning == "dora"
    return sum(
        config.lora_r * (rows + columns) + (rows if dora else 0)
        for rows, columns in shape.linear_sides
    )


def _bytes_of_weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.bin"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"There is no model at {path.parent}: the folder has no config.json."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Cannot read {path}: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a JSON object.")
    return content


def _header(path: Path) -> dict[str, Any]:
    """Read the header of a safetensors file: its length in eight bytes, then JSON."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(_LARGEST_HEADER, path.stat().st_size):
                raise ValueError("its header has an impossible length")
            content = json.loads(file.read(length))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"The weights file {path} is damaged: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"The weights file {path} is damaged: its header is not an object.")
    return content
