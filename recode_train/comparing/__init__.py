"""A base model, SFT and reinforcement learning on the same pairs, evaluated and compared."""

from recode_train.comparing.running import compare
from recode_train.comparing.settings import Comparing, Evaluated

__all__ = ["Comparing", "Evaluated", "compare"]
