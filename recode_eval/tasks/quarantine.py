"""Quarantine: problems left out because their own programs fail, or pass by luck, on a machine.

`validate --quarantine FILE` writes the list, `--quarantine FILE` of a run reads it. It names the
rows by the hash of the task's data: a list for other rows is refused, never applied in part.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from recode_eval.errors import DataError, StorageError
from recode_eval.files import replace_file
from recode_eval.tasks.base import BadRow, TaskData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA_VERSION: Final = 1
FLAKY, BROKEN = "flaky", "broken"


class QuarantinedProblem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A problem and why it is left out."""

    id: str
    state: str
    """`flaky`: what must pass passes sometimes; `broken`: never."""
    reasons: tuple[str, ...]


class QuarantinedTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out of a task."""

    data_hash: str
    validated: int
    """Problems that were proven or refuted; `problems` are those of them to leave out."""
    ungraded: tuple[str, ...]
    """Problems that the machine could not grade: not left out, and not proven either."""
    problems: tuple[QuarantinedProblem, ...]


class Quarantine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list for one or several tasks."""

    schema_version: int
    created: str
    recode_eval: str
    python: str
    platform: str
    sandbox: str
    repeats: int
    tasks: dict[str, QuarantinedTask]

    @property
    def digest(self) -> str:
        """What results name the list by: a hash of everything in it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    def apply(self, task: str, data: TaskData) -> TaskData:
        """Return the data without the task's problems in quarantine.

        Raises:
            DataError: the list is for other rows, or nothing is left.
        """
        found = self.tasks.get(task)
        if found is None:
            return data
        if found.data_hash != data.content_hash:
            raise DataError(
                f"The quarantine of {task} was made for other rows (hash {found.data_hash[:12]}, "
                f"not {data.content_hash[:12]}). Make it anew: recode-eval validate --tasks {task} "
                "--quarantine FILE"
            )
        rows = (BadRow(one.id, f"{one.state}: {'; '.join(one.reasons)}") for one in found.problems)
        return without(data, rows, task)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How often a problem's checks went as they must."""

    problem_id: str
    sound: int
    repeats: int
    faults: tuple[str, ...]
    ungraded: bool


def without(data: TaskData, rows: Iterable[BadRow], task: str) -> TaskData:
    """Return the data with these problems set aside; raises `DataError` if none is left."""
    known = {problem.id for problem in data.problems}
    aside = tuple(row for row in rows if row.where in known)
    gone = {row.where for row in aside}
    left = tuple(problem for problem in data.problems if problem.id not in gone)
    if not left:
        raise DataError(f"Every problem of {task} is in quarantine.")
    return replace(data, problems=left, quarantined=(*data.quarantined, *aside))


def stored_rows(quarantined: Iterable[str], data: TaskData) -> list[BadRow]:
    """Return what a run's files say was in quarantine (`ID: reason`), for the rows at hand.

    An id may hold a colon: the longest id that fits is meant.
    """
    ids = sorted((problem.id for problem in data.problems), key=len, reverse=True)
    rows = []
    for text in quarantined:
        name = next((one for one in ids if text.startswith(f"{one}: ")), None)
        if name is not None:
            rows.append(BadRow(name, text.removeprefix(f"{name}: ")))
    return rows


def quarantined_task(data_hash: str, outcomes: Iterable[Outcome]) -> QuarantinedTask:
    """Sort the outcomes of a task's problems."""
    outcomes = tuple(outcomes)
    return QuarantinedTask(
        data_hash,
        validated=sum(not one.ungraded for one in outcomes),
        ungraded=tuple(one.problem_id for one in outcomes if one.ungraded and not one.faults),
        problems=tuple(
            QuarantinedProblem(one.problem_id, FLAKY if one.sound else BROKEN, one.faults)
            for one in outcomes
            if one.faults
        ),
    )


def write_quarantine(path: Path, quarantine: Quarantine) -> None:
    """Write the list, whole or not at all."""
    text = json.dumps(msgspec.to_builtins(quarantine), indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}") from error


def read_quarantine(path: str | Path) -> Quarantine:
    """Read a list; raises `DataError` if it is none, or one of a later version."""
    file = Path(path)
    try:
        content: Mapping[str, Any] = msgspec.json.decode(file.read_bytes())
        version = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise DataError(f"{file}: written by a newer recode-eval; update this one.")
        return msgspec.convert(content, Quarantine)
    except OSError as error:
        raise DataError(f"Cannot read the quarantine {file}: {error.strerror}.") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DataError(f"{file} is no list of a quarantine ({error}).") from error
