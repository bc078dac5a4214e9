"""The untrained model, SFT and reinforcement learning on the same pairs, evaluated and compared."""

from recode_train.comparing.running import compare_methods
from recode_train.comparing.settings import CompareConfig, EvaluationSettings

__all__ = ["CompareConfig", "EvaluationSettings", "compare_methods"]
