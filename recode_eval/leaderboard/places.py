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
from recode_eval.run.foreign.importing import import_file, logs_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RUNS, _ARMS, _MODELS = "runs", "arms", "models.yaml"


def open_packs(roots: Sequence[Path], folder: Path) -> tuple[dict[Path, Path], list[BrokenRun]]:
    """Unpack the packs among `roots`, and in them, into `folder`; logs of others become runs there.

    Returns the folders with runs, each with the folder, pack or log that it comes from. A pack or
    a log that is not sound is named in the list.
    """
    opened: dict[Path, Path] = {}
    broken: list[BrokenRun] = []
    for root in roots:
        if root.is_file():
            files = [root]
        else:
            files = [*sorted(root.glob(f"*{SUFFIX}")), *logs_in(root)]
            opened[root] = root
        for file in files:
            place = folder / str(len(opened) + len(broken)) / file.name.removesuffix(SUFFIX)
            place.parent.mkdir()
            try:
                _open(file, place)
            except DataError as error:
                broken.append(BrokenRun(file.name, str(error)))
            else:
                opened[place] = file
    return opened, broken


def _open(file: Path, place: Path) -> None:
    """Make a folder with the run of a pack or a log.

    Raises:
        UsageError: it is neither.
        DataError: it is not sound.
    """
    if file.name.endswith(SUFFIX):
        unpack(file, place)
    elif import_file(file, file.name, place) is None:
        raise UsageError(f"{file} is neither a folder, nor a pack (*{SUFFIX}), nor a log.")


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
