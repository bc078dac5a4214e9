"""Recognise that memory ran out, and free what a failed attempt still holds."""

from __future__ import annotations

import gc


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out.

    CUDA has its own class; the allocators of CPU and MPS raise a plain `RuntimeError`.
    """
    import torch

    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "can't allocate memory" in text)
    )


def empty_caches() -> None:
    """Return freed memory to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
