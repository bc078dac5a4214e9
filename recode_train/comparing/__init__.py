"""The untrained model and its arms, trained on the same pairs, evaluated and compared."""

from recode_train.comparing.arms import ArmSettings
from recode_train.comparing.running import compare_methods
from recode_train.comparing.settings import CompareConfig, EvaluationSettings

__all__ = ["ArmSettings", "CompareConfig", "EvaluationSettings", "compare_methods"]
