"""A run's identity without the folders of its machine, to tell equal runs and models elsewhere.

A model from a folder is identified by the path of its weights and by their SHA-256; so is an
adapter. The path says where they lay, the hash what they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

_DEEPEST: Final = 50
"""Levels of an identity; a file from somebody else could have enough to end the program."""


def portable(identity: Any) -> Any:
    """Return an identity in which of a hashed file's or folder's path only the last part stays.

    Raises `DataError` for one that is nested too deep.

    >>> portable({"model": {"path": "/home/ada/runs/final", "sha256": "ab12"}})
    {'model': {'path': 'final', 'sha256': 'ab12'}}
    >>> portable({"path": "/home/ada/rows.jsonl"})  # no hash says what it is
    {'path': '/home/ada/rows.jsonl'}
    """
    return _mapped(identity, lambda path: {"path": re.split(r"[/\\]", path.rstrip("/\\"))[-1]})


def weights(identity: Any) -> Any:
    """Return an identity without the paths of what is hashed: equal weights are equal.

    Raises `DataError` for one that is nested too deep.

    >>> weights({"path": "/home/ada/runs/final", "sha256": "ab12"})
    {'sha256': 'ab12'}
    """
    return _mapped(identity, lambda _: {})


def _mapped(content: Any, shown: Callable[[str], dict[str, str]], depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise DataError(f"The run's identity is nested more than {_DEEPEST} levels deep.")
    if isinstance(content, list):
        return [_mapped(part, shown, depth + 1) for part in content]
    if not isinstance(content, dict):
        return content
    hashed = isinstance(content.get("sha256"), str)
    found: dict[str, Any] = {}
    for key, value in content.items():
        if hashed and key == "path" and isinstance(value, str):
            found |= shown(value)
        else:
            found[key] = _mapped(value, shown, depth + 1)
    return found
