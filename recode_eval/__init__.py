"""Measure how well a language model writes code against changed APIs.

The names below are the public interface; `docs/api.md` shows each in use. Importing the package
does no work and loads nothing heavy: every name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.lazy import loader

if TYPE_CHECKING:
    from recode_eval.api import Evaluation, TaskResult, compare, evaluate, gate, lift, rescore
    from recode_eval.errors import DataError, InfrastructureError, RecodeError, UsageError
    from recode_eval.gating.candidate import Candidate
    from recode_eval.integrations import rewards
    from recode_eval.integrations.trl_environment import trl_environment
    from recode_eval.models.options import ModelOptions
    from recode_eval.run.config import ExecutorOptions, RunConfig, SandboxOptions
    from recode_eval.run.config_parts import BudgetOptions, ConversationOptions, DocsOptions
    from recode_eval.run.progress import ProgressEvent
    from recode_eval.run.rescore import RescoreConfig
    from recode_eval.run.reward import GradedAnswer, RewardGrader, areward, reward
    from recode_eval.sandbox import Limits, Program, Test, open_sandbox
    from recode_eval.serving.client import RewardClient
    from recode_eval.tasks.loading import LoadedTask, load_task

__version__ = "0.2.0"

_HOMES = {
    "Evaluation": "api",
    "TaskResult": "api",
    "compare": "api",
    "evaluate": "api",
    "gate": "api",
    "lift": "api",
    "rescore": "api",
    "DataError": "errors",
    "InfrastructureError": "errors",
    "RecodeError": "errors",
    "UsageError": "errors",
    "Candidate": "gating.candidate",
    "ModelOptions": "models.options",
    "BudgetOptions": "run.config_parts",
    "ConversationOptions": "run.config_parts",
    "DocsOptions": "run.config_parts",
    "ExecutorOptions": "run.config",
    "RunConfig": "run.config",
    "SandboxOptions": "run.config",
    "ProgressEvent": "run.progress",
    "RescoreConfig": "run.rescore",
    "GradedAnswer": "run.reward",
    "RewardGrader": "run.reward",
    "areward": "run.reward",
    "reward": "run.reward",
    "rewards": "integrations",
    "RewardClient": "serving.client",
    "Limits": "sandbox",
    "Program": "sandbox",
    "Test": "sandbox",
    "open_sandbox": "sandbox",
    "LoadedTask": "tasks.loading",
    "load_task": "tasks.loading",
    "trl_environment": "integrations.trl_environment",
}
__all__ = [
    "BudgetOptions",
    "Candidate",
    "ConversationOptions",
    "DataError",
    "DocsOptions",
    "Evaluation",
    "ExecutorOptions",
    "GradedAnswer",
    "InfrastructureError",
    "Limits",
    "LoadedTask",
    "ModelOptions",
    "Program",
    "ProgressEvent",
    "RecodeError",
    "RescoreConfig",
    "RewardClient",
    "RewardGrader",
    "RunConfig",
    "SandboxOptions",
    "TaskResult",
    "Test",
    "UsageError",
    "__version__",
    "areward",
    "compare",
    "evaluate",
    "gate",
    "lift",
    "load_task",
    "open_sandbox",
    "rescore",
    "reward",
    "rewards",
    "trl_environment",
]


__getattr__ = loader(__name__, _HOMES)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
