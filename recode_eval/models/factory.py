"""From what the user typed after `--model` to a back-end, and the reason for the choice."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recode_eval.errors import RecodeError, UsageError
from recode_eval.models.backends import BACKENDS, get_backend, reject_unused
from recode_eval.models.options import ModelOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.models.base import Model

_GPU_DEVICES: Final = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA, AMD and WSL create: a look at them needs no torch."""


def create_model(
    spec: str,
    *,
    backend: str = "auto",
    options: ModelOptions | None = None,
    answers: Mapping[str, Mapping[str, str]] | None = None,
) -> Model:
    """Build the model that `spec` names.

    `spec` is a checkpoint folder, GGUF file or hub id, a served model's name (with
    `options.base_url`), `replay:PATH` or `baseline:KIND`; any back-end's name and a colon may
    stand before it.
    `answers[problem_id]` has the codes that the baselines answer with; its keys are the problems
    of the run. Raises `UsageError` when spec, back-end and options do not fit together or a
    package is missing, `DataError` for unreadable completions, `InfrastructureError` when the hub,
    the server or the engine fails.
    """
    options = options or ModelOptions()
    answers = answers or {}
    name, rest = split_spec(spec)
    if backend == "auto":
        backend, _ = choose_backend(spec, options)
    elif backend not in BACKENDS:
        known = ", ".join(BACKENDS.names())
        raise UsageError(f"there is no back-end {backend!r}; choose auto, {known}")
    elif name is not None and name != backend:
        raise UsageError(
            f"the model {spec!r} names the back-end {name!r}, but --backend is {backend!r}; give "
            "one of them"
        )
    if not rest:
        raise UsageError(
            "no model given; name a path, a hub id or, for example, baseline:reference"
        )
    reject_unused(backend, options)
    return get_backend(backend).create(rest, options, answers)


def choose_backend(spec: str, options: ModelOptions | None = None) -> tuple[str, str]:
    """Choose the back-end for `spec`: its name, and one clause that says why.

    Looks at the spec, the options, the installed packages and the machine's GPU; loads nothing.
    Raises `UsageError` when no installed back-end can serve the spec.
    """
    options = options or ModelOptions()
    name, rest = split_spec(spec)
    if name is not None:
        return name, f"the model's name starts with {name}:"
    if options.base_url is not None:
        return "openai", "a server's base URL was given"
    if rest.endswith((".jsonl", ".jsonl.gz")) and Path(rest).expanduser().is_file():
        return "replay", "the model is a file of saved completions"
    return _choose_engine(rest, options)


def split_spec(spec: str) -> tuple[str | None, str]:
    """Split `backend:rest`; the back-end is None where the spec names none."""
    name, colon, rest = spec.partition(":")
    return (name, rest) if colon and name in BACKENDS else (None, spec)


def _choose_engine(spec: str, options: ModelOptions) -> tuple[str, str]:
    """Choose between the two engines that load a checkpoint."""
    has_vllm = _installed("vllm")
    has_transformers = _installed("torch") and _installed("transformers")
    asks_vllm = (
        options.tensor_parallel_size > 1
        or options.data_parallel_size > 1
        or options.gpu_memory_utilization is not None
        or bool(options.engine_args)
    )
    is_gguf = _is_gguf(spec)
    asks_transformers = options.batch_size is not None or options.device != "auto"
    if not has_vllm and not has_transformers:
        raise UsageError(
            f"no installed engine can load {spec!r}; pip install 'recode-eval[transformers]' or "
            "'recode-eval[vllm]', or name a server with --base-url"
        )
    if is_gguf:
        return _engine_of_gguf(spec, asks_vllm=asks_vllm, has_transformers=has_transformers)
    if asks_vllm:
        return "vllm", "options of the vLLM engine were given"
    if asks_transformers:
        return "transformers", "options of transformers (device, batch size) were given"
    if not has_vllm:
        return "transformers", "vLLM is not installed"
    if not has_transformers:
        return "vllm", "it is the only engine installed"
    if _adapter_is_dora(spec, options):
        return "transformers", "the adapter is a DoRA adapter, which vLLM cannot serve"
    if any(Path(device).exists() for device in _GPU_DEVICES):
        return "vllm", "it is installed and the machine has a GPU"
    return "transformers", "the machine has no GPU"


def _is_gguf(spec: str) -> bool:
    """Whether `spec` is a GGUF file, whole or not, or a folder that holds one."""
    from recode_eval.models.gguf import find_gguf, is_gguf_name

    place = Path(spec).expanduser()
    try:
        return is_gguf_name(spec) or (place.is_dir() and find_gguf(place) is not None)
    except RecodeError:
        return True
    except OSError:  # an unreadable folder
        return False


def _engine_of_gguf(spec: str, *, asks_vllm: bool, has_transformers: bool) -> tuple[str, str]:
    if asks_vllm:
        raise UsageError(
            f"{spec} is a GGUF file, which the transformers back-end loads; leave out the options"
            " of the vLLM engine, or give the model in safetensors"
        )
    if not has_transformers:
        raise UsageError(
            f"{spec} is a GGUF file, which the transformers back-end loads;"
            " pip install 'recode-eval[transformers]'"
        )
    return "transformers", "the model is a GGUF file"


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a broken or half-removed package
        return False


def _adapter_is_dora(spec: str, options: ModelOptions) -> bool:
    """Whether a *local* adapter is DoRA; one on the hub is found out when it is loaded."""
    from recode_eval.models.checkpoint import read_adapter_config

    for candidate in (options.adapter, spec):
        if candidate is not None and (folder := Path(candidate).expanduser()).is_dir():
            config = read_adapter_config(folder)
            if config is not None:
                return config.use_dora
    return False
