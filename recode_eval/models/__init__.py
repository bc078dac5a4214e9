"""Sources of completions: engines, servers, saved files and baselines behind one interface.

Importing this package loads nothing: a name is loaded when it is first used, and a back-end's
libraries when it is created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.lazy import loader

if TYPE_CHECKING:
    from recode_eval.models.backend import Backend
    from recode_eval.models.backends import BACKENDS
    from recode_eval.models.base import (
        Completion,
        FinishReason,
        Message,
        Model,
        ModelInfo,
        Prompt,
        Request,
        SamplingParameters,
    )
    from recode_eval.models.factory import choose_backend, create_model
    from recode_eval.models.options import ModelOptions

_HOMES = {
    "BACKENDS": "backends",
    "Backend": "backend",
    "Completion": "base",
    "FinishReason": "base",
    "Message": "base",
    "Model": "base",
    "ModelInfo": "base",
    "ModelOptions": "options",
    "Prompt": "base",
    "Request": "base",
    "SamplingParameters": "base",
    "choose_backend": "factory",
    "create_model": "factory",
}
__all__ = [
    "BACKENDS",
    "Backend",
    "Completion",
    "FinishReason",
    "Message",
    "Model",
    "ModelInfo",
    "ModelOptions",
    "Prompt",
    "Request",
    "SamplingParameters",
    "choose_backend",
    "create_model",
]


__getattr__ = loader(__name__, _HOMES)
