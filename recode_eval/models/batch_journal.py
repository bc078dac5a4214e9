"""What a run has sent as batch jobs: one small file that survives any interruption.

An intent is written before anything is sent, with a key that the batch carries as metadata. Whoever
finds an intent without the server's answer asks the server for a batch with that key, so nothing is
sent, and paid for, twice.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, StorageError
from recode_eval.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INTENDED: Final = "intended"
"""Written before anything was sent; the server may or may not have the batch."""
SENT: Final = "sent"
COLLECTED: Final = "collected"
"""Everything the server had was read."""
NEVER_SENT: Final = "never sent"
"""The server has no batch with this key, or refused it."""
VANISHED: Final = "vanished"
"""The server had it and has it no more."""
_STATES: Final = frozenset({INTENDED, SENT, COLLECTED, NEVER_SENT, VANISHED})
_VERSION: Final = 1


@dataclass(slots=True)
class SentBatch:
    """One batch job; `ids` are the requests' custom ids."""

    key: str
    ids: list[str]
    state: str = INTENDED
    batch: str | None = None
    """The server's name for it."""
    unanswered: list[str] = field(default_factory=list)
    """Those of `ids` to which it held no answer."""

    @property
    def has_answers(self) -> bool:
        """Whether the server may have, or have had, an answer of it."""
        return self.state in {INTENDED, SENT, COLLECTED}

    @property
    def answerable(self) -> list[str]:
        """The ids that it may answer."""
        lacking = set(self.unanswered)
        return [item for item in self.ids if item not in lacking]


class Journal:
    """The batches of a run, in the order in which they were intended."""

    def __init__(self, file: Path) -> None:
        """Read what is there; raises `DataError` for a damaged file."""
        self._file = file
        self.batches = _read(file)

    def intend(self, ids: Sequence[str]) -> SentBatch:
        """Write down that a batch will be sent; raises `StorageError`."""
        found = SentBatch(uuid.uuid4().hex, list(ids))
        self.batches.append(found)
        self.save()
        return found

    def save(self) -> None:
        """Write everything, atomically; raises `StorageError`."""
        content = {"schema_version": _VERSION, "batches": [asdict(item) for item in self.batches]}
        try:
            replace_file(self._file, json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise StorageError(
                f"Cannot write {self._file}: {error.strerror or error}. Free some space and repeat "
                "the command: it finds the batches that were sent."
            ) from error


def _read(file: Path) -> list[SentBatch]:
    try:
        raw = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read {file}: {error}.") from error
    try:
        content = json.loads(raw)
        if content["schema_version"] != _VERSION:
            raise ValueError(f"schema_version is {content['schema_version']!r:.20}")
        return [_entry(item) for item in content["batches"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{file} is damaged ({error}). It says which batch jobs were paid for: restore it, or "
            "delete it if none is running, and what is not stored is asked for again."
        ) from error


def _entry(raw: Any) -> SentBatch:
    known = {item.name for item in fields(SentBatch)}
    found = SentBatch(**{key: value for key, value in raw.items() if key in known})
    texts = [found.key, found.state, *found.ids, *found.unanswered]
    if not all(isinstance(text, str) for text in texts) or found.state not in _STATES:
        raise ValueError("a batch has a part of a wrong type")
    if found.batch is not None and not isinstance(found.batch, str):
        raise ValueError("a batch's name is no text")
    return found
