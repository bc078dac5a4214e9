"""The record of a candidate, and the file of them: one JSON object a line, read back strictly."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from recode_eval.errors import DataError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SCHEMA = 1
"""Raised whenever a reader of the older form would misread the newer one."""
KINDS = (
    "removed",
    "renamed",
    "moved",
    "argument-renamed",
    "argument-added",
    "argument-removed",
    "argument-reordered",
    "argument-keyword-only",
    "default-changed",
    "return-changed",
    "behaviour-changed",
    "newly-deprecated",
)
"""Those of `recode_eval.tasks.migration.KINDS`, and three that no bundled row has."""
QUOTE_CHARACTERS = 200
"""The longest quote from a library's notes."""

Source = Literal["static", "runtime", "probe", "example", "note"]


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the library's own notes name the change."""

    release: str
    heading: str
    text: str
    """A quote of at most `QUOTE_CHARACTERS` characters."""
    file: str


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One observation: what the old and the new release have, or did with `program`."""

    source: Source
    old: str
    new: str
    program: str = ""
    """What ran in both releases; empty where nothing ran."""


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A change between two releases that a migration pair may be written about."""

    schema: int = SCHEMA
    id: str
    library: str
    old_version: str
    new_version: str
    old_uploaded: str | None
    """Day (UTC) on which the index got the old release; None: not known."""
    new_uploaded: str | None
    license: str
    """SPDX, or what the metadata say; empty: they say nothing."""
    api: str
    """The public name in the old release; of a note about a new name, that."""
    names: tuple[str, ...] = ()
    """Every public name of the same thing, `api` first."""
    new_api: str = ""
    kind: str
    argument: str = ""
    """The argument that the change is about; empty: it is about no single one."""
    new_argument: str = ""
    old_signature: str = ""
    new_signature: str = ""
    deprecation: str = ""
    """What the library itself says of the change in a warning."""
    note: Note | None = None
    evidence: tuple[Evidence, ...] = ()
    executed: bool = False
    """Whether a probe or an example ran differently in the two releases."""
    rank: int = 0
    """From 1, the best first."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for what no stage makes; msgspec names the field's line."""
        if self.schema != SCHEMA:
            raise ValueError(f"schema {self.schema} is not {SCHEMA}; mine again")
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(KINDS)}")


def candidate_id(library: str, old: str, new: str, kind: str, api: str) -> str:
    """A name that stays the same when the releases are mined again.

    >>> candidate_id("click", "7.1.2", "8.1.8", "removed", "click.get_os_args")
    'click-7.1.2-8.1.8-removed-896cdad5'
    """
    digest = hashlib.sha256(f"{kind} {api}".encode()).hexdigest()[:8]
    return f"{library}-{old}-{new}-{kind}-{digest}"


def ranked(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Sort best first (executed and noted, executed, noted, the rest) and number them."""

    def key(candidate: Candidate) -> tuple[bool, bool, bool, int, str, str]:
        noted = candidate.note is not None
        return (
            not (candidate.executed and noted),
            not candidate.executed,
            not noted,
            KINDS.index(candidate.kind),
            candidate.api,
            candidate.id,
        )

    return tuple(
        msgspec.structs.replace(candidate, rank=rank)
        for rank, candidate in enumerate(sorted(candidates, key=key), 1)
    )


def dump(candidates: Iterable[Candidate]) -> bytes:
    """Return the file's content."""
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(candidate) + b"\n" for candidate in candidates)


def read_candidates(path: Path) -> list[Candidate]:
    """Read a file of candidates.

    Raises:
        DataError: a line is no candidate of this schema; names the line.
        StorageError: the file cannot be read.
    """
    decoder = msgspec.json.Decoder(Candidate)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror or error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(decoder.decode(line))
        except (msgspec.MsgspecError, ValueError) as error:
            raise DataError(
                f"{path}:{number}: no candidate of schema {SCHEMA}: {error}; mine the releases "
                "again with `recode-eval mine`"
            ) from error
    return found
