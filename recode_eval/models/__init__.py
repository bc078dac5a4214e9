"""Sources of completions: engines, servers, saved files and baselines behind one interface.

Importing this package loads no engine; a back-end's libraries load when it is created.
"""

from __future__ import annotations

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
from recode_eval.models.options import BACKENDS, ModelOptions

__all__ = [
    "BACKENDS",
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
