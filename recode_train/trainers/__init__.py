"""Training itself, on TRL: every method resumable to the bit.

`train` does a whole run from a configuration; the other modules are its parts.
"""

from __future__ import annotations

from recode_train.trainers.running import TrainResult, require_libraries, train

__all__ = ["TrainResult", "require_libraries", "train"]
