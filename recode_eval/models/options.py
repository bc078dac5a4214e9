"""Everything a user may choose about a back-end, in one validated, immutable value.

Each back-end heeds a part of it and refuses the rest (`backends.reject_unused`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from recode_eval.checks import named_fields_only
from recode_eval.errors import UsageError
from recode_eval.models.request_options import check_request

if TYPE_CHECKING:
    from collections.abc import Mapping

DTYPES: Final = ("auto", "float32", "bfloat16", "float16")
PREFILL_MODES: Final = ("auto", "continue", "omit")


@named_fields_only
@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options of all back-ends; the defaults are right for most runs.

    Raises `UsageError` for a value out of its range.
    """

    adapter: str | None = None
    """Path or hub id of a LoRA or DoRA adapter to apply to the model."""
    dtype: str = "auto"
    """One of `DTYPES`; `auto` is bfloat16 on a GPU that has it and float32 on a CPU."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ... (transformers only)."""
    batch_size: int | None = None
    """Sequences that transformers generates at once; None lets the back-end choose."""
    max_context: int | None = None
    """Prompt plus completion, in tokens; None takes the model's own limit."""
    tensor_parallel_size: int = 1
    data_parallel_size: int = 1
    gpu_memory_utilization: float | None = None
    """Share of the GPU's memory for the vLLM engine, in (0, 1]; None is vLLM's default."""
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    """More keyword arguments for `vllm.LLM`."""
    trust_remote_code: bool = False
    revision: str | None = None
    """Branch, tag or commit of a model on the hub."""
    base_url: str | None = None
    """An OpenAI-compatible server, for instance http://127.0.0.1:8000/v1."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; the key itself is never stored."""
    concurrency: int = 16
    """Concurrent requests to a server."""
    request_timeout: float = 600.0
    """Longest wait for one answer, in seconds."""
    max_retries: int = 5
    """Retries of a request after a refused or dropped connection, a 429 or a 5xx."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """More parameters of every request to a server, such as `reasoning_effort`; part of the
    model's identity."""
    server_prefill: str = "auto"
    """One of `PREFILL_MODES`: whether the server can continue an opened assistant turn."""

    def __post_init__(self) -> None:
        _require(self.dtype in DTYPES, f"dtype must be one of {', '.join(DTYPES)}", self.dtype)
        _require(
            self.server_prefill in PREFILL_MODES,
            f"server_prefill must be one of {', '.join(PREFILL_MODES)}",
            self.server_prefill,
        )
        for name in ("tensor_parallel_size", "data_parallel_size", "concurrency"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))
        for name in ("batch_size", "max_context"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} must be at least 1", value)
        _require(self.max_retries >= 0, "max_retries must be at least 0", self.max_retries)
        _require(
            math.isfinite(self.request_timeout) and self.request_timeout > 0,
            "request_timeout must be a positive number of seconds",
            self.request_timeout,
        )
        share = self.gpu_memory_utilization
        _require(share is None or 0 < share <= 1, "gpu_memory_utilization must be in (0, 1]", share)
        check_request(self.request)
        if self.base_url is not None:
            rule = "base_url must look like http://HOST:PORT/v1"
            try:
                parts = urlsplit(self.base_url)
                is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
                is_address = is_address and parts.port != 0
            except ValueError:  # a bracket that is not closed, a port that is not a number
                raise UsageError(f"{rule}, not {self.base_url!r}") from None
            _require(is_address, rule, self.base_url)
            if "@" in parts.netloc or parts.query:  # it is stored and shown; a key must not be
                raise UsageError(
                    "base_url must not hold a user, a password or a query; set the server's key "
                    "in the environment variable that api_key_env names"
                )


def _require(condition: bool, rule: str, value: object) -> None:
    if not condition:
        raise UsageError(f"{rule}, not {value!r}")
