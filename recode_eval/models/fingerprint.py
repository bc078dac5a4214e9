"""A hash of what is in a checkpoint, cheap even where the weights are 60 GB.

Small files are hashed whole. Of a large weights file the size, the header and evenly spread blocks
are: training changes every block of a tensor, so that two checkpoints differ in what is read.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from recode_eval.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

_TEXT_SUFFIXES: Final = (".json", ".jinja", ".txt", ".model", ".py", ".tiktoken")
_WEIGHT_PATTERNS: Final = (".safetensors", ".bin")
_IGNORED: Final = frozenset({"trainer_state.json", "training_args.bin"})
"""What a trainer leaves beside a checkpoint; it has no influence on what the model answers."""

_WHOLE: Final = 512 * 2**20
"""Bytes up to which a file is hashed whole (about a second)."""
_BLOCK: Final = 2**16
_BLOCKS: Final = 256


def fingerprint(place: Path) -> str:
    """SHA-256 over the files that make the model: those of a folder, or one GGUF file.

    A folder's files count with their names, a single file by its content alone. Raises
    `StorageError` when a file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if place.is_file():
            digest.update(f"{place.stat().st_size}\0".encode())
            digest.update(_file_hash(place))
            return digest.hexdigest()
        for path in sorted(place.iterdir()):
            if path.is_file() and _matters(path.name):
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
                digest.update(_file_hash(path))
    except OSError as error:
        raise StorageError(f"cannot read the checkpoint {place}: {error}") from error
    return digest.hexdigest()


def _matters(name: str) -> bool:
    return name not in _IGNORED and name.endswith((*_TEXT_SUFFIXES, *_WEIGHT_PATTERNS))


def _file_hash(path: Path, whole: int = _WHOLE) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= whole:
            return hashlib.file_digest(file, "sha256").digest()
        digest = hashlib.sha256()
        for number in range(_BLOCKS):  # the first block holds the header of safetensors
            file.seek(number * (size - _BLOCK) // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
        return digest.digest()
