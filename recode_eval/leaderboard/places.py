"""Where runs, facts about their models and logs of trainings lie in the folders that are given.

A folder with a whole comparison of trainings has all three: the arms' runs in `runs`, their
trainings in `arms`, and the facts in `models.yaml`. There only `runs` is a source of runs:
the evaluations during a training are points of its curve, not models of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RUNS, _ARMS, _MODELS = "runs", "arms", "models.yaml"


@dataclass(frozen=True, slots=True)
class Places:
    """What to read."""

    runs: tuple[Path, ...]
    models: tuple[Path, ...]
    trainings: tuple[Path, ...]
    """Folders that may hold logs of trainings."""


def places(roots: Sequence[Path]) -> Places:
    """Return what to read for the folders given as runs."""
    runs, models, trainings = [], [], []
    for root in roots:
        if (root / _MODELS).is_file() and (root / _RUNS).is_dir():
            runs.append(root / _RUNS)
            models.append(root / _MODELS)
            trainings.append(root / _ARMS if (root / _ARMS).is_dir() else root)
        else:
            runs.append(root)
            trainings.append(root)
            beside = root.parent / _ARMS
            if root.name == _RUNS and beside.is_dir():
                trainings.append(beside)
    return Places(tuple(runs), tuple(models), tuple(trainings))
