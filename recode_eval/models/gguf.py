"""GGUF files: which one is meant, whether it is whole, and how large the model in it is.

GGUF is llama.cpp's format: one file with weights (often quantized), configuration, tokenizer and
chat template. Only its header is read here, without a library; the back-end loads it. A header may
come from anywhere, so nothing that it says is believed beyond the file's own size.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from recode_eval.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".gguf"
_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
                   12: "d"}  # fmt: skip
"""The format's numbers of its types, as `struct` spells them."""
_STRING: Final = 8
_ARRAY: Final = 9
_MOST_DIMENSIONS: Final = 8
_PART: Final = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_OTHER_WEIGHTS: Final = ("*.safetensors", "*.bin")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Tensor:
    """One matrix or vector; `shape` is as torch has it, rows first."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. Of an array, the metadata hold the length."""

    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]

    def of_architecture(self, key: str) -> Any:
        """The value of `key` for the file's own architecture; None if the file lacks it."""
        return self.metadata.get(f"{self.metadata.get('general.architecture')}.{key}")


def is_gguf_name(spec: str) -> bool:
    """Whether `spec` is named like a GGUF file."""
    return spec.lower().endswith(SUFFIX)


def find_gguf(place: Path) -> Path | None:
    """The GGUF file that `place` means: itself, or the only one of a folder without other weights.

    Returns None for a folder of another kind. Raises `UsageError` when several files could be
    meant, and `DataError` for a file that is no whole GGUF.
    """
    if place.is_file():
        return _checked(place) if is_gguf_name(place.name) else None
    if (place / "adapter_config.json").is_file() or any(
        True for pattern in _OTHER_WEIGHTS for _ in place.glob(pattern)
    ):
        return None
    found = sorted(path for path in place.iterdir() if is_gguf_name(path.name) and path.is_file())
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UsageError(
            f"{place} holds {len(found)} GGUF files ({names}{more}); give one of them as the model,"
            f" for instance {found[0]}"
        )
    return _checked(found[0])


def read_header(file: Path) -> Header:
    """Read the metadata and the list of tensors; no weights.

    Raises `DataError` when `file` is no GGUF file, or is damaged or cut off.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            return _Reader(stream, size).header()
    except (OSError, ValueError, struct.error, RecursionError, OverflowError, MemoryError) as error:
        raise DataError(f"{file} is not a complete GGUF file: {error}") from error


def _checked(file: Path) -> Path:
    if _PART.search(file.name):
        raise UsageError(
            f"{file} is one part of a split GGUF file; join the parts first"
            " (llama-gguf-split --merge FIRST_PART WHOLE.gguf)"
        )
    read_header(file)
    return file


class _Reader:
    """Reads a header from front to back; raises `ValueError` for what cannot be true."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size

    def header(self) -> Header:
        if self._take(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin with `GGUF`")
        version = self._number("I")
        if version not in _VERSIONS:
            raise ValueError(f"version {version} of the format is not supported")
        tensor_count, key_count = self._number("Q"), self._number("Q")
        metadata = {}
        for _ in range(self._count(key_count)):
            key = self._string()
            metadata[key] = self._value(self._number("I"))
        tensors, last = [], 0
        for _ in range(self._count(tensor_count)):
            tensor, offset = self._tensor()
            tensors.append(tensor)
            last = max(last, offset)
        if not isinstance(metadata.get("general.architecture"), str) or not tensors:
            raise ValueError("it holds no language model")
        if self._stream.tell() + last >= self._size:
            raise ValueError("it is cut off: weights are missing at its end")
        return Header(metadata, tuple(tensors))

    def _tensor(self) -> tuple[Tensor, int]:
        name = self._string()
        dimensions = self._number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"the tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        if math.prod(shape) > 64 * self._size:  # the densest formats take more than a bit a weight
            raise ValueError(f"the tensor {name[:80]!r} is larger than the file")
        self._number("I")  # its format
        return Tensor(name, shape[::-1]), self._number("Q")

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise ValueError(f"it has a value of the unknown type {kind}")
        inner, length = self._number("I"), self._count(self._number("Q"))
        if inner in _SCALARS:
            self._skip(length * struct.calcsize(f"<{_SCALARS[inner]}"))
        elif inner == _STRING:
            for _ in range(length):
                self._skip(self._number("Q"))
        else:
            raise ValueError(f"it has an array of the unknown type {inner}")
        return length

    def _string(self) -> str:
        return self._take(self._number("Q")).decode("utf-8", "replace")

    def _number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0]

    def _count(self, number: int) -> int:
        """`number`, if so many things can be in the file at all."""
        if number > self._size:
            raise ValueError("its header announces more than the file holds")
        return number

    def _take(self, length: int) -> bytes:
        found = self._stream.read(min(length, self._size))
        if len(found) < length:
            raise ValueError("it is cut off in its header")
        return found

    def _skip(self, length: int) -> None:
        if self._stream.tell() + length > self._size:
            raise ValueError("it is cut off in its header")
        self._stream.seek(length, 1)
