# No pathlib in here, it would cost start-up time.
# ruff: noqa: PTH113, PTH114, PTH118, PTH207, PTH208
"""Which files programs may read, as rules for Landlock: it can allow a folder, but exclude nothing.

A folder with something hidden below it is therefore replaced by what is in it, down to the hidden
folder. What is added to such a folder later cannot be read.
"""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from recode_program import linux

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOK = linux.READ | linux.EXECUTE


def hidden_below(folders: Iterable[str], patterns: Iterable[str], own: Iterable[str]) -> set[str]:
    """The folders to hide: those of the evaluator's, and what the patterns find below `folders`.

    One that is itself among `folders` is what programs need, an environment's `site-packages`.
    """
    roots = {os.path.realpath(folder) for folder in folders}
    found = {os.path.realpath(path) for path in own}
    for root in roots:
        for pattern in patterns:
            matches = glob.glob(os.path.join(glob.escape(root), pattern))
            found.update(os.path.realpath(path) for path in matches)
    return found - roots


def rules(folders: Iterable[str], hidden: set[str]) -> dict[str, int]:
    """The rights that let programs read and execute what is in the folders, but nothing hidden."""
    allowed: dict[str, int] = {}
    for folder in sorted({os.path.realpath(folder) for folder in folders}):
        _allow(folder, hidden, allowed)
    return allowed


def _allow(path: str, hidden: set[str], allowed: dict[str, int]) -> None:
    if not any(one.startswith(f"{path}/") for one in hidden):
        allowed[path] = _LOOK
        return
    if os.path.isfile(f"{path}/os.py"):
        # The standard library: an import lists it. That the names below it show cannot be helped.
        allowed[path] = linux.READ_FOLDER
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        child = os.path.join(path, name)
        # The target of a link may be read where it lies, if that is in one of the folders.
        if child not in hidden and not os.path.islink(child):
            _allow(child, hidden, allowed)
