"""The records of a run as a mapping that keeps them on disk: eight bytes a sample in memory.

A run of a million samples has gigabytes of answers and test outputs. What the pipeline asks is
which samples are there; a record is read when it is needed.
"""

from __future__ import annotations

import json
import threading
from array import array
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Generic, TypeVar

from recode_eval.errors import DataError, StorageError
from recode_eval.run.records import CompletionRecord, Key, ScoreRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

R = TypeVar("R", CompletionRecord, ScoreRecord)

_ABSENT = -1


class Samples(MutableMapping[Key, R], Generic[R]):
    """Where the line of each sample begins; reading a sample reads its line. Thread-safe.

    Nothing is written here: `samples[key] = record` is no way to store one (see `note`).
    """

    def __init__(self, path: Path, kind: type[R]) -> None:
        """Begin empty; `path` is a file of `kind`, one JSON line each."""
        self._path = path
        self._kind: type[R] = kind
        self._offsets: dict[str, array[int]] = {}
        self._count = 0
        self._lock = threading.Lock()

    def note(self, key: Key, offset: int) -> None:
        """Register the byte at which a sample's line begins; the last call counts."""
        problem_id, sample = key
        with self._lock:
            offsets = self._offsets.setdefault(problem_id, array("q"))
            while len(offsets) <= sample:
                offsets.append(_ABSENT)
            self._count += offsets[sample] == _ABSENT
            offsets[sample] = offset

    def __getitem__(self, key: Key) -> R:
        """Read a record; raises `DataError` if the file was changed, `StorageError` if it fails."""
        offset = self._offset(key)
        if offset == _ABSENT:
            raise KeyError(key)
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                record: R = self._kind.from_json(json.loads(file.readline()))
        except OSError as error:
            raise StorageError(f"Cannot read {self._path}: {error.strerror or error}.") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{self._path} changed while it was in use ({error}).") from error
        if record.key != key:
            raise DataError(f"{self._path} changed while it was in use.")
        return record

    def __setitem__(self, key: Key, record: R) -> None:
        """Refused: records are appended by the store."""
        raise TypeError("append the record to the store, then note where it is")

    def __delitem__(self, key: Key) -> None:
        """Forget a sample; its line stays."""
        problem_id, sample = key
        with self._lock:
            if self._offset(key) == _ABSENT:
                raise KeyError(key)
            self._offsets[problem_id][sample] = _ABSENT
            self._count -= 1

    def forget(self, key: Key) -> None:
        """Drop a sample if it is there; reads nothing."""
        if key in self:
            del self[key]

    def clear(self) -> None:
        """Forget all samples; reads nothing."""
        with self._lock:
            self._offsets.clear()
            self._count = 0

    def __contains__(self, key: object) -> bool:
        """Whether a sample is there; reads nothing."""
        return self._offset(key) != _ABSENT  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys, problem by problem."""
        for problem_id, offsets in list(self._offsets.items()):
            for sample, offset in enumerate(offsets):
                if offset != _ABSENT:
                    yield problem_id, sample

    def __len__(self) -> int:
        """Return how many samples are there."""
        return self._count

    def _offset(self, key: Key) -> int:
        problem_id, sample = key
        offsets = self._offsets.get(problem_id, ())
        return offsets[sample] if 0 <= sample < len(offsets) else _ABSENT
