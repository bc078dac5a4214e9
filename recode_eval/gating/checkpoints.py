"""Check whether a checkpoint is complete: a training run may still write it, or have abandoned it.

recode-train marks a checkpoint when everything is there; other trainers write `trainer_state.json`
last. Without either, nothing may have changed for a while. In every case the weights must be as
long as they say. Only names, sizes and headers are read; the content is the loader's concern.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK: Final = "recode_train.json"
"""What recode-train writes last (its `checkpoints.MARK`)."""
_TRAINER_STATE: Final = "trainer_state.json"
_INDEXES: Final = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
_ADAPTER_CONFIG: Final = "adapter_config.json"
_ADAPTER_WEIGHTS: Final = ("adapter_model.safetensors", "adapter_model.bin")
_LONGEST_HEADER: Final = 100 << 20
_LONGEST_JSON: Final = 64 << 20
_NUMBER: Final = re.compile(r"(\d+)(?!.*\d)")


class State(StrEnum):
    """The state of a checkpoint."""

    WHOLE = "whole"
    UNFINISHED = "unfinished"
    """Something is missing, but it was written to a moment ago."""
    BROKEN = "broken"
    """Something is missing, and nobody has written to it for a while."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The observed state of a checkpoint."""

    state: State
    adapter: bool = False
    reason: str = ""
    """What is missing; empty if it is whole."""


class _IncompleteError(Exception):
    """What is missing."""


def step_of(folder: Path) -> int | None:
    """Return the last number in a checkpoint's name, as in `checkpoint-500`."""
    found = _NUMBER.search(folder.name)
    return int(found[1][-18:]) if found else None


def find_checkpoints(place: Path, pattern: str = "checkpoint-*") -> list[Path]:
    """Return the folders in `place` that look like checkpoints, in the order of their steps."""
    try:
        found = [path for path in place.glob(pattern) if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
    return sorted(found, key=lambda path: (step_of(path) or 0, path.name))


def marks_checkpoints(place: Path) -> bool:
    """Whether the training in `place` is one of recode-train, which marks what is whole."""
    own = any((place / name).is_file() for name in ("train.jsonl", "train.json"))
    return own or any((path / MARK).is_file() for path in find_checkpoints(place))


def examine(folder: Path, *, marked: bool, settle_s: float) -> Examination:
    """Return a checkpoint's state; `marked`: its trainer marks complete checkpoints.

    `settle_s` is how long (seconds) nothing may have changed before a folder without a trainer's
    last file counts as whole, and an incomplete one as broken. Raises `FileNotFoundError` if the
    folder vanishes.
    """
    quiet = time.time() - _newest_change(folder) >= settle_s
    adapter = (folder / _ADAPTER_CONFIG).is_file()
    try:
        if marked and not (folder / MARK).is_file():
            raise _IncompleteError("its trainer has not marked it as complete")
        _require_model(folder, adapter)
        if not marked and not _ended(folder) and not quiet:
            raise _IncompleteError("it has just changed")
    except _IncompleteError as missing:
        state = State.BROKEN if quiet else State.UNFINISHED
        return Examination(state, adapter, str(missing))
    return Examination(State.WHOLE, adapter)


def _newest_change(folder: Path) -> float:
    """Return when the folder or a file right in it changed last; raises `FileNotFoundError`."""
    newest = folder.stat().st_mtime
    for path in folder.iterdir():
        try:
            newest = max(newest, path.stat().st_mtime)
        except FileNotFoundError:
            continue
    return newest


def _ended(folder: Path) -> bool:
    """Whether the trainer's last file exists and is complete."""
    try:
        return isinstance(_read_json(folder / _TRAINER_STATE), dict)
    except _IncompleteError:
        return False


def _require_model(folder: Path, adapter: bool) -> None:
    _read_json(folder / (_ADAPTER_CONFIG if adapter else "config.json"))
    for file in _weights(folder, adapter):
        if not file.is_file():
            raise _IncompleteError(f"{file.name} is missing")
        if file.suffix == ".safetensors":
            _require_safetensors(file)
        elif file.stat().st_size == 0:
            raise _IncompleteError(f"{file.name} is empty")


def _weights(folder: Path, adapter: bool) -> Iterator[Path]:
    """Yield the files that must hold the weights, whether they are there or not."""
    if adapter:
        known = [folder / name for name in _ADAPTER_WEIGHTS if (folder / name).is_file()]
        yield known[0] if known else folder / _ADAPTER_WEIGHTS[0]
        return
    for index in _INDEXES:
        if (folder / index).is_file():
            names = _read_json(folder / index).get("weight_map")
            if not isinstance(names, dict) or not names:
                raise _IncompleteError(f"{index} names no weights")
            for name in sorted(set(map(str, names.values()))):
                if "/" in name or name.startswith("."):
                    raise _IncompleteError(f"{index} names a file outside the checkpoint")
                yield folder / name
            return
    single = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    yield single[0] if single else folder / _WEIGHTS[0]


def _require_safetensors(file: Path) -> None:
    """Compare a file's size with what its header says."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= min(_LONGEST_HEADER, size - 8):
                raise _IncompleteError(f"{file.name} is cut off")
            header = json.loads(stream.read(length))
        ends = [
            int(entry["data_offsets"][1])
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except FileNotFoundError:
        raise _IncompleteError(f"{file.name} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise _IncompleteError(f"{file.name} cannot be read") from None
    if size < 8 + length + max(ends, default=0):
        raise _IncompleteError(f"{file.name} is cut off")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _LONGEST_JSON:
            raise _IncompleteError(f"{file.name} is too long")
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _IncompleteError(f"{file.name} is missing") from None
    except (OSError, ValueError, RecursionError):
        raise _IncompleteError(f"{file.name} cannot be read") from None
    if not isinstance(content, dict):
        raise _IncompleteError(f"{file.name} is not a JSON object")
    return content
