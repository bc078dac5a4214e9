"""Locate runs, facts about their models and training logs in the given folders.

A folder with a whole comparison of trainings has all three: the arms' runs in `runs`, their
trainings in `arms`, and the facts in `models.yaml`. There only `runs` is a source of runs:
the evaluations during a training are points of its curve, not models of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.errors import DataError, UsageError
from recode_eval.leaderboard.loading import BrokenRun
from recode_eval.run.archive import SUFFIX, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RUNS, _ARMS, _MODELS = "runs", "arms", "models.yaml"


def open_packs(roots: Sequence[Path], folder: Path) -> tuple[dict[Path, Path], list[BrokenRun]]:
    """Unpack the packs among `roots`, and in them, into `folder`.

    Returns the folders with runs, each with the folder or pack that it comes from. A pack that is
    not sound is named in the list.
    """
    opened: dict[Path, Path] = {}
    broken: list[BrokenRun] = []
    for root in roots:
        packs = [root] if root.is_file() else sorted(root.glob(f"*{SUFFIX}"))
        if root.is_file() and not root.name.endswith(SUFFIX):
            raise UsageError(f"{root} is neither a folder nor a pack (*{SUFFIX}).")
        if not root.is_file():
            opened[root] = root
        for pack in packs:
            place = folder / str(len(opened) + len(broken)) / pack.name.removesuffix(SUFFIX)
            place.parent.mkdir()
            try:
                unpack(pack, place)
            except DataError as error:
                broken.append(BrokenRun(pack.name, str(error)))
            else:
                opened[place] = pack
    return opened, broken


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
