"""Signatures of the APIs that a task's problems are about: facts, read once and kept in a file.

`signatures.json` lies beside the folder of the rows: environment -> dotted name -> signature, or
null where the release does not have the API. `recode-eval docs make` writes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.tasks.base import TaskSpec

FILE: Final = "signatures.json"
UNKNOWN: Final = object()
"""Nobody has looked yet; not the same as `None`, an API that the release does not have."""


class Signatures:
    """The signatures of one task, read when they are first asked for."""

    def __init__(self, spec: TaskSpec) -> None:
        """Read nothing yet."""
        self._path = signatures_path(spec)
        self._known: Mapping[str, Mapping[str, str | None]] | None = None

    def of(self, environment: str, path: str) -> str | object | None:
        """Return an API's signature, None if the release does not have it, or `UNKNOWN`.

        Raises:
            DataError: the file is malformed.
        """
        if self._known is None:
            self._known = {} if self._path is None else read_signatures(self._path)
        return self._known.get(environment, {}).get(path, UNKNOWN)


def signatures_path(spec: TaskSpec) -> Path | None:
    """Return where a task's file lies, whether it is there or not; None for rows from the hub."""
    folder = spec.data.get("folder")
    return None if folder is None else Path(spec.folder, str(folder)).resolve().parent / FILE


def read_signatures(path: Path) -> dict[str, dict[str, str | None]]:
    """Read a file of signatures; one that is not there holds none.

    Raises:
        DataError: it is malformed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Cannot read {path}: {error}. {_ANEW}") from error
    if not isinstance(content, dict) or not all(map(_is_release, content.values())):
        raise DataError(f"{path} must map environments to APIs and their signatures. {_ANEW}")
    return content


_ANEW = "Write it anew: recode-eval docs make --tasks TASK"


def _is_release(value: object) -> bool:
    return isinstance(value, dict) and all(
        signature is None or isinstance(signature, str) for signature in value.values()
    )
