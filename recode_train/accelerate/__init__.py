"""Configurations for `accelerate launch`, shipped with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from recode_eval.errors import UsageError
from recode_eval.plugins import unknown

FOLDER: Final = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the names of the configurations, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def path(name: str) -> Path:
    """Return a configuration's file; raises `UsageError` with the nearest name if there is none."""
    if name not in names():
        raise UsageError(unknown("configuration", name, names()))
    return FOLDER / f"{name}.yaml"
