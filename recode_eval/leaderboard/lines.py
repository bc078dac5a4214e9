"""Lines of a run's files: parsing them fast, and finding those of one problem again.

A board may have millions of samples, so none is kept: an index says where their lines are.
"""

from __future__ import annotations

import json
import os
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.errors import InfrastructureError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_GAPS = 2
"""Lines are read as one block where that takes no more than this times their own bytes."""


def parse(line: bytes) -> Any:
    """Return a line's content; raises `ValueError` if it is not JSON, or nested too deeply."""
    try:
        import orjson
    except ImportError:
        raise InfrastructureError(
            "The leaderboard needs orjson: pip install 'recode-eval[site]'."
        ) from None
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # It refuses lone surrogates, which models do write.
        try:
            return json.loads(line)
        except RecursionError as error:
            raise ValueError("nested too deep") from error


@dataclass(frozen=True, slots=True)
class LineIndex:
    """Where in a file the lines of each problem are, ordered by sample."""

    first: array[int]
    """Per problem the number of its first line, and at the end the number of all."""
    starts: array[int]
    ends: array[int]

    @classmethod
    def of(cls, spans: Mapping[tuple[int, int], tuple[int, int]], problems: int) -> LineIndex:
        """Make an index of spans (start, end) by (problem's position, sample)."""
        order = sorted(spans)
        first, count = array("q", [0]), 0
        for position in range(problems):
            while count < len(order) and order[count][0] == position:
                count += 1
            first.append(count)
        starts = array("q", [spans[key][0] for key in order])
        return cls(first, starts, array("q", [spans[key][1] for key in order]))

    def size(self, position: int) -> int:
        """Return the bytes of the lines of a problem."""
        chosen = slice(self.first[position], self.first[position + 1])
        return sum(self.ends[chosen]) - sum(self.starts[chosen])

    def read(self, path: Path, position: int) -> list[Any]:
        """Return the content of the lines of a problem; raises `StorageError`."""
        chosen = slice(self.first[position], self.first[position + 1])
        spans = list(zip(self.starts[chosen], self.ends[chosen], strict=True))
        try:
            return [parse(line) for line in _lines(path, spans)]
        except (OSError, ValueError) as error:
            raise changed(path, error) from error


def changed(path: Path, error: Exception) -> StorageError:
    """Return the error for a file that changed after its verification."""
    return StorageError(f"{path} changed while it was read: {error}. Build again.")


def _lines(path: Path, spans: Sequence[tuple[int, int]]) -> Iterable[bytes]:
    if not spans:
        return []
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        low, high = min(start for start, _ in spans), max(end for _, end in spans)
        if high - low <= _GAPS * sum(end - start for start, end in spans):
            block = os.pread(descriptor, high - low, low)
            return [block[start - low : end - low] for start, end in spans]
        return [os.pread(descriptor, end - start, start) for start, end in spans]
    finally:
        os.close(descriptor)
