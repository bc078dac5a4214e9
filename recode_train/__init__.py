"""Train a model to use changed APIs, on the tasks' training pairs, with TRL.

The names below are the public interface; `docs/training.md` shows them in use. Prompts, extraction
and similarity are those of `recode_eval`, so a model is trained on what it is measured by.
Importing the package loads nothing heavy: every name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.lazy import loader

if TYPE_CHECKING:
    from recode_train.algorithms import Algorithm
    from recode_train.checkpoint_gate import gate_callback
    from recode_train.comparing.arms import ArmSettings
    from recode_train.comparing.running import compare_methods
    from recode_train.comparing.settings import CompareConfig, EvaluationSettings
    from recode_train.config import TrainConfig
    from recode_train.data import PairSet, load_pairs
    from recode_train.merging import merge
    from recode_train.planning import Plan, make_plan
    from recode_train.progress import TrainEvent
    from recode_train.rewards import (
        Rewards,
        api_reward,
        build_rewards,
        format_reward,
        overlong_penalty,
    )
    from recode_train.stopping import TrainingStoppedError
    from recode_train.trainers.running import TrainResult, train

_HOMES = {
    "Algorithm": "algorithms",
    "gate_callback": "checkpoint_gate",
    "ArmSettings": "comparing.arms",
    "compare_methods": "comparing.running",
    "CompareConfig": "comparing.settings",
    "EvaluationSettings": "comparing.settings",
    "TrainConfig": "config",
    "PairSet": "data",
    "load_pairs": "data",
    "merge": "merging",
    "Plan": "planning",
    "make_plan": "planning",
    "TrainEvent": "progress",
    "Rewards": "rewards",
    "api_reward": "rewards",
    "build_rewards": "rewards",
    "format_reward": "rewards",
    "overlong_penalty": "rewards",
    "TrainingStoppedError": "stopping",
    "TrainResult": "trainers.running",
    "train": "trainers.running",
}
__all__ = [
    "Algorithm",
    "ArmSettings",
    "CompareConfig",
    "EvaluationSettings",
    "PairSet",
    "Plan",
    "Rewards",
    "TrainConfig",
    "TrainEvent",
    "TrainResult",
    "TrainingStoppedError",
    "api_reward",
    "build_rewards",
    "compare_methods",
    "format_reward",
    "gate_callback",
    "load_pairs",
    "make_plan",
    "merge",
    "overlong_penalty",
    "train",
]


__getattr__ = loader(__name__, _HOMES)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
