"""Dated snapshots of a leaderboard: what it said on a day, at an address that never changes.

A snapshot is one JSON file whose name has its day and the hash of its content. It is written once
and never over another; a file whose content does not have the hash in its name is refused. It holds
the measured rows of a built site, so that snapshots can be kept and compared without the runs.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from recode_eval import __version__
from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.leaderboard.text import cut
from recode_eval.schemas.base import Count, JsonStruct, decode

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

SCHEMA_VERSION: Final = 1
_NAME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})-([0-9a-f]{16})\.json")
_LARGEST: Final = 64_000_000
"""Bytes of a snapshot, or of a site's rows: 10,000 rows take 20 million."""
_ROWS: Final = Path("data", "leaderboard.json")
_Word = Annotated[str, Meta(pattern="^[0-9a-f-]{0,64}$")]
"""A hash, or two: it stands in links."""


class SnapshotRow(JsonStruct, frozen=True, kw_only=True):
    """One run on its board; texts are hostile."""

    model: str
    task: str
    board: str
    board_key: _Word
    run: _Word
    rank: str
    rank_best: Count | None
    metric: Annotated[str, Meta(description="The board's ranking metric.")]
    value: float | None
    low: float | None
    high: float | None
    n: Count | None
    problems: Count | None
    unscored: Count | None

    @property
    def place(self) -> tuple[str, str]:
        """Board and run."""
        return self.board_key, self.run


class SnapshotFile(JsonStruct, frozen=True, kw_only=True):
    """Content of a snapshot."""

    schema_version: Literal[1]
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    recode_eval: str
    rows: list[SnapshotRow]


class _Metric(JsonStruct, frozen=True, kw_only=True):
    value: float
    low: float | None = None
    high: float | None = None


class _SiteRow(JsonStruct, frozen=True, kw_only=True):
    """A row of a site's data/leaderboard.json, as far as a snapshot keeps it."""

    model: str
    task: str
    board: str
    source: str
    rank: str
    board_key: str = ""
    primary: str | None = None
    run: str | None = None
    rank_best: Count | None = None
    n: Count | None = None
    problems: Count | None = None
    unscored: Count | None = None
    metrics: dict[str, _Metric]


class _SiteRows(JsonStruct, frozen=True, kw_only=True):
    rows: list[_SiteRow]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot with its name."""

    name: str
    """Without `.json`; day and hash."""
    content: SnapshotFile
    raw: bytes

    @property
    def date(self) -> str:
        """The day, `YYYY-MM-DD`."""
        return self.content.date

    @property
    def models(self) -> int:
        """The number of models."""
        return len({row.model for row in self.content.rows})

    @property
    def boards(self) -> list[tuple[str, list[SnapshotRow]]]:
        """The boards with their rows, best first."""
        found: dict[str, list[SnapshotRow]] = {}
        for row in self.content.rows:
            found.setdefault(row.board_key, []).append(row)
        return [
            (rows[0].board, sorted(rows, key=_best_first))
            for _, rows in sorted(found.items(), key=lambda item: (item[1][0].board, item[0]))
        ]


def _best_first(row: SnapshotRow) -> tuple[bool, int, float, str]:
    none = row.rank_best is None
    return none, row.rank_best or 0, -(row.value or 0.0), row.run


def take(site: Path, date: dt.date) -> Snapshot:
    """Return a snapshot of a built site.

    Raises:
        UsageError: the folder has no site, or the site has no measured run.
        DataError: its rows are malformed, or an older version wrote them.
    """
    file = site / _ROWS
    rows = decode(_bytes(file), _SiteRows, str(_ROWS))
    found = [_row(row) for row in rows.rows if row.source == "measured"]
    if not found:
        raise UsageError(f"{site} shows no run that was measured; there is nothing to keep.")
    if any(not row.board_key for row in found):
        raise DataError(
            f"{file} was written by an older version: build the site again, then take the snapshot."
        )
    found.sort(key=lambda row: (row.board_key, row.run))
    content = SnapshotFile(
        schema_version=SCHEMA_VERSION, date=date.isoformat(), recode_eval=__version__, rows=found
    )
    raw = msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=1) + b"\n"
    return Snapshot(f"{content.date}-{_digest(raw)}", content, raw)


def _row(row: _SiteRow) -> SnapshotRow:
    metric = cut(row.primary or "", 100)
    estimate = row.metrics.get(row.primary or "")
    return SnapshotRow(
        model=cut(row.model, 500), task=cut(row.task, 500), board=cut(row.board, 500),
        board_key=row.board_key, run=row.run or "", rank=cut(row.rank, 40), rank_best=row.rank_best,
        metric=metric, value=estimate.value if estimate else None,
        low=estimate.low if estimate else None, high=estimate.high if estimate else None,
        n=row.n, problems=row.problems, unscored=row.unscored,
    )  # fmt: skip


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def _bytes(file: Path) -> bytes:
    """Return a plain file's content; raises `UsageError` if there is none, `DataError`."""
    if not file.exists() and not file.is_symlink():
        raise UsageError(
            f"There is no {file}: give a site that `recode-eval leaderboard build` wrote, or a "
            "snapshot."
        )
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _LARGEST:
            raise DataError(f"{file} is not a plain file of at most {_LARGEST:,} bytes.")
        return file.read_bytes()
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror or error}.") from error


def write(snapshot: Snapshot, folder: Path) -> Path:
    """Write a snapshot and return its file; one that is there already stays as it is.

    Raises:
        DataError: a file of that name has other content.
        StorageError: the folder cannot be written.
    """
    path = folder / f"{snapshot.name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(snapshot.raw)
        except FileExistsError:
            if read(path).raw != snapshot.raw:  # pragma: no cover - two texts of one hash
                raise DataError(f"{path} holds something else.") from None
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


def read(path: Path) -> Snapshot:
    """Read a snapshot.

    Raises:
        UsageError: there is no such file.
        DataError: its name or its content is not that of a snapshot, or they do not agree.
        StorageError: it cannot be read.
    """
    named = _NAME.fullmatch(path.name)
    raw = _bytes(path)
    if named is None:
        raise DataError(
            f"{path.name} is not a snapshot's name (DATE-HASH.json); its name proves its content, "
            "so keep it as `recode-eval leaderboard snapshot` wrote it."
        )
    if _digest(raw) != named[2]:
        raise DataError(f"{path.name} was changed: its content does not have the hash in its name.")
    try:
        raw.decode()  # JSON in another encoding can be read, but a site publishes the bytes as text
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not a snapshot: it is not UTF-8 ({error}).") from None
    content = decode(raw, SnapshotFile, path.name)
    if content.date != named[1]:
        raise DataError(f"{path.name} was renamed: its content is of {content.date}.")
    return Snapshot(path.stem, content, raw)


def read_all(folders: Iterable[Path]) -> tuple[list[Snapshot], list[tuple[str, str]]]:
    """Return the snapshots in some folders, oldest first, and the files that are none, with why.

    Raises `UsageError` if a folder does not exist.
    """
    found: dict[str, Snapshot] = {}
    broken: list[tuple[str, str]] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {folder}. `recode-eval leaderboard snapshot SITE --out FOLDER`"
                " writes the first snapshot."
            )
        for path in sorted(folder.glob("*.json")):
            try:
                snapshot = read(path)
            except DataError as error:
                broken.append((path.name, str(error)))
            else:
                found[snapshot.name] = snapshot
    return sorted(found.values(), key=lambda item: item.name), broken


@dataclass(frozen=True, slots=True)
class RowChange:
    """What became of a run between two snapshots."""

    kind: Literal["new", "gone", "another run", "changed"]
    """`another run`: the same model has another run on the board."""
    old: SnapshotRow | None
    new: SnapshotRow | None

    @property
    def row(self) -> SnapshotRow:
        """The newer of the two."""
        found = self.new or self.old
        assert found is not None
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the content for `--json`."""
        return {
            "kind": self.kind,
            "old": None if self.old is None else msgspec.to_builtins(self.old),
            "new": None if self.new is None else msgspec.to_builtins(self.new),
        }


def differences(old: Snapshot, new: Snapshot) -> list[RowChange]:
    """Return what changed, by board; runs that stayed as they were are left out."""
    before = {row.place: row for row in old.content.rows}
    after = {row.place: row for row in new.content.rows}
    gone = [row for place, row in before.items() if place not in after]
    fresh = [row for place, row in after.items() if place not in before]
    found = [
        RowChange("changed", before[place], row)
        for place, row in after.items()
        if place in before and _said(before[place]) != _said(row)
    ]
    for row in fresh:
        same = [item for item in gone if _who(item) == _who(row)]
        alone = len(same) == 1 and sum(_who(item) == _who(row) for item in fresh) == 1
        if alone:
            gone.remove(same[0])
            found.append(RowChange("another run", same[0], row))
        else:
            found.append(RowChange("new", None, row))
    found += [RowChange("gone", row, None) for row in gone]
    return sorted(found, key=_in_order)


def _who(row: SnapshotRow) -> tuple[str, str]:
    return row.board_key, row.model


def _said(row: SnapshotRow) -> tuple[object, ...]:
    return row.rank, row.metric, row.value, row.low, row.high, row.n, row.problems, row.unscored


def _in_order(change: RowChange) -> tuple[str, str, bool, int, str, str]:
    row = change.row
    best = row.rank_best
    return row.board, row.board_key, best is None, best or 0, row.model, row.run


def summary(changes: Sequence[RowChange]) -> str:
    """Return the changes in a line: `2 new, 1 gone, 3 with another rank or figure`."""
    kinds = [change.kind for change in changes]
    parts = [
        f"{count} {words}"
        for kind, words in (
            ("new", "new"),
            ("gone", "gone"),
            ("another run", "with another run"),
            ("changed", "with another rank or figure"),
        )
        if (count := kinds.count(kind))  # type: ignore[arg-type]
    ]
    return ", ".join(parts) or "nothing changed"
