"""Load a checkpoint with transformers, and prove that it arrived whole.

The library only warns when weights are missing: it goes on with random ones. Here that is an error,
because the scores would be of another model. Adapters: `adapter_merging`.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.models.checkpoint import Checkpoint, Source
    from recode_eval.models.options import ModelOptions

_LOG: Final = logging.getLogger(__name__)
_SHOWN: Final = 300
"""Characters of a library's message that go into ours."""
_PROBE: Final = "def f(value, number=10):\n    return value + 2  # The note says: no change.\n"
"""Any text: what matters is how much of it comes back from the tokens."""
_LOST: Final = 5.0
"""Percent of likeness to the probe that make two tokenizers different ones."""
_HEADROOM: Final = 1.2
"""Weights times this must fit into one GPU, else the layers are spread over all."""


def load_tokenizer(checkpoint: Checkpoint, options: ModelOptions, *, mend: bool = True) -> Any:
    """Load the tokenizer, padding on the left. Raises `UsageError` when it cannot be loaded.

    One that the library takes for another family's is loaded as its file says; without `mend` it is
    an error, for an engine that reads its answers with a tokenizer of its own loading.
    """
    from transformers import AutoTokenizer

    source = checkpoint.tokenizer
    path = source.path
    _require_gguf(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path,
            trust_remote_code=options.trust_remote_code,
            padding_side="left",
            **source.loading,
        )
    except Exception as error:  # what a damaged folder raises depends on the tokenizer's class
        raise UsageError(
            f"cannot load the tokenizer of {source.location}: {shortened(error)}"
        ) from error
    if source.gguf is not None or not _swapped(tokenizer, path):
        return tokenizer
    if not mend:
        raise UsageError(
            f"the tokenizer of {path} loses words when the engine converts it; use --backend "
            "transformers"
        )
    return _own_tokenizer(path)


def _swapped(tokenizer: Any, path: Path) -> bool:
    """Whether the library took another class of tokenizer, which loses text that the own keeps.

    Beside some configurations (Qwen2) transformers 5 builds that family's tokenizer from whatever
    `tokenizer.json` says; words then vanish from every prompt, without an error.
    """
    file = path / "tokenizer.json"
    if not file.is_file():
        return False
    from tokenizers import Tokenizer

    try:
        own = Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 - the library could read it, in its way
        return False

    from rapidfuzz.fuzz import ratio

    ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    own_ids = own.encode(_PROBE, add_special_tokens=False).ids
    if ids == own_ids:
        return False
    kept = ratio(_PROBE, tokenizer.decode(ids))
    return bool(ratio(_PROBE, own.decode(own_ids, skip_special_tokens=False)) > kept + _LOST)


def _own_tokenizer(path: Path) -> Any:
    """Load `tokenizer.json` as it is."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(path, padding_side="left")


def load_model(checkpoint: Checkpoint, options: ModelOptions) -> tuple[Any, dict[str, Any]]:
    """Load the model, merge its adapter, and return it with details for the provenance.

    Raises `UsageError` when the files do not make a whole causal language model or the adapter
    does not fit it, and `InfrastructureError` when memory does not suffice.
    """
    import torch

    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    source = checkpoint.model
    placement = {"device_map": "auto"} if _needs_spreading(source.path, device, options) else {}
    try:
        model = _load_weights(source, dtype, options, placement)
        if not placement:
            model = model.to(device)
        details: dict[str, Any] = {"device": str(device), "dtype": str(dtype).split(".")[-1]}
        if checkpoint.adapter is not None:
            from recode_eval.models.adapter_merging import merge_adapter

            model, details["adapter"] = merge_adapter(model, checkpoint.adapter.path)
    except torch.OutOfMemoryError as error:
        raise InfrastructureError(
            f"{source.location} does not fit into the memory of {device}; use a larger device,"
            " --dtype bfloat16, or the vllm back-end over several GPUs"
        ) from error
    return model.eval(), details


def check_token_ids(model: Any, tokenizer: Any, place: object) -> None:
    """Raise `UsageError` if the tokenizer makes tokens that the model has no embedding of.

    Such an id ends the run with an IndexError in the middle, or an assertion on the GPU. The token
    for padding may be one: what is padded is masked, so another one can take its place. So may a
    special token that has no role and that no chat template writes: converting a GGUF file adds it.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    added = tokenizer.added_tokens_decoder
    used = f"{tokenizer.all_special_tokens}{tokenizer.chat_template}"
    beyond = sorted(
        (number, token)
        for token, number in tokenizer.get_vocab().items()
        if number >= rows
        and token != tokenizer.pad_token
        and not (number in added and added[number].special and token not in used)
    )
    if beyond:
        number, token = beyond[0]
        raise UsageError(
            f"{place}: {len(beyond)} tokens of the tokenizer have no embedding: the model has "
            f"{rows}, and the first token beyond is {token!r} with the id {number}. Resize the "
            "model's embeddings to the tokenizer and save both, or use the tokenizer that belongs "
            "to the model"
        )


def choose_device(wanted: str) -> Any:
    """The device to run on. Raises `UsageError` when this machine does not have it."""
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"the device {wanted!r} is not available ({shortened(error)}); try --device auto or cpu"
        ) from error
    return device


def choose_dtype(wanted: str, device: Any) -> Any:
    """The dtype of the weights; `auto` is bfloat16 where the accelerator has it."""
    import torch

    if wanted != "auto":
        return getattr(torch, wanted)
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float16


def _needs_spreading(path: Path, device: Any, options: ModelOptions) -> bool:
    import torch

    if device.type != "cuda" or options.device != "auto" or torch.cuda.device_count() < 2:
        return False
    weights = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    return bool(weights * _HEADROOM > torch.cuda.mem_get_info(device)[0])


def _load_weights(
    source: Source, dtype: Any, options: ModelOptions, placement: dict[str, Any]
) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as library_logging

    disable_progress_bar: Any = library_logging.disable_progress_bar
    disable_progress_bar()  # it would tear the run's own progress bars
    _require_gguf(source)
    path = source.location
    # Expanding a GGUF file has a bar of its own, which nothing switches off.
    quiet = contextlib.nullcontext() if source.gguf is None else _without_stderr()
    try:
        with quiet:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source.path,
                dtype=dtype,
                trust_remote_code=options.trust_remote_code,
                output_loading_info=True,
                **source.loading,
                **placement,
            )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # configs, pickles, safetensors and remote code fail in many ways
        hint = (
            ""
            if options.trust_remote_code or "trust_remote_code" not in str(error)
            else ("; if you trust its authors, add --trust-remote-code")
        )
        raise UsageError(f"cannot load the model {path}: {shortened(error)}{hint}") from error
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise UsageError(
            f"the checkpoint {path} lacks {len(missing)} weights of its architecture (first: "
            f"{missing[0]}), which would stay random. Save the whole model, or give an adapter "
            "with --adapter"
        )
    return model if source.gguf is None else _plain(model)


def _without_stderr() -> contextlib.AbstractContextManager[Any]:
    import io

    return contextlib.redirect_stderr(io.StringIO())


def _plain(model: Any) -> Any:
    """The same weights in a model that knows nothing of having been quantized.

    Those of a GGUF file arrive expanded, but the library still calls the model quantized: it would
    refuse to save it, and adapters and trainers would take it for what it no longer is.
    """
    import copy

    from accelerate import init_empty_weights

    config = copy.deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with init_empty_weights(include_buffers=False):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain


def _require_gguf(source: Source) -> None:
    """Raise `UsageError` when the package is missing that reads the file."""
    from importlib.util import find_spec

    for package in ("gguf", "accelerate"):
        if source.gguf is not None and find_spec(package) is None:
            raise UsageError(
                f"the GGUF file {source.location} needs the package {package};"
                " pip install 'recode-eval[transformers]'"
            )


def shortened(error: BaseException) -> str:
    """Return a library's message on one line, cut to what fits into ours."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
