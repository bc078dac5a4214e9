"""Task kind `pairs`: old code and update note to new code, compared with a reference by text only.

For data without tests, such as ReCode's training pairs (Wu et al. 2025, arXiv 2506.20495): rows of
`dependency`, `new_version`, `description`, `update_info`, `old_code`, `new_code`. Nothing is
executed; the scores are the similarities.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.languages import get_language
from recode_eval.tasks.base import (
    DocsText,
    OthersNote,
    Problem,
    TaskData,
    TaskSpec,
    task_data,
)
from recode_eval.tasks.rows import RowError, open_rows, parse_rows, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.sandbox.base import Program


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair, checked."""

    id: str
    """Made from the content, since the data has none; the same row gets the same id anywhere."""
    dependency: str
    new_version: str
    """Without the operator that the data puts before it (`==2.2.0`); may be empty."""
    description: str
    update_info: str
    old_code: str
    new_code: str


class PairsTask:
    """ReCode's training pairs, and any file in the same schema."""

    conditions: tuple[str, ...] = ()

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`."""
        name, rows = open_rows(self.spec, source)
        good, bad = parse_rows(rows, _Parser(), lambda row: row.id)
        problems = tuple(_problem(row) for row in good.values())
        contents = ((key, asdict(row)) for key, row in good.items())
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return nothing: there are no tests."""
        del problem, code
        return {}

    def documentation(self, problem: Problem, known: Sequence[Problem]) -> Mapping[str, DocsText]:
        """Return the pair's note, and all notes of its release; see `Documented`."""
        row: PairRow = problem.payload
        release = f"{row.dependency} {row.new_version}".strip()
        same = (other.payload for other in known)
        notes = {
            other.update_info: None
            for other in same
            if (other.dependency, other.new_version) == (row.dependency, row.new_version)
        }
        return {
            "note": (f"{release}: {row.update_info}",),
            "changelog": (
                f"{release}:",
                *(
                    f"- {note}" if note == row.update_info else OthersNote(f"- {note}")
                    for note in sorted(notes)
                ),
            ),
        }

    def faults(self, problem: Problem) -> list[str]:
        """Return what is wrong with a row although it follows the schema."""
        row: PairRow = problem.payload
        language = get_language(self.spec.language)
        faults = [
            f"{key} is not {language.title}"
            for key, code in (("old_code", row.old_code), ("new_code", row.new_code))
            if not language.parses(code)
        ]
        if row.old_code.strip() == row.new_code.strip():
            faults.append("old_code and new_code are the same")
        return faults


class _Parser:
    """Parses rows of one file; rows that are exact copies are numbered."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def __call__(self, raw: Mapping[str, Any]) -> PairRow:
        dependency = text(raw, "dependency").strip()
        content = [
            text(raw, "new_version", required=False).strip().lstrip("=<>~! "),
            text(raw, "description", required=False),
            text(raw, "update_info"),
            text(raw, "old_code"),
            text(raw, "new_code"),
        ]
        if any(character.isspace() for character in dependency):
            raise RowError(f"the field dependency must be a library's name, not {dependency!r}")
        key = f"{dependency}-{_digest([dependency, *content])}"
        self._seen[key] += 1
        copy = self._seen[key]
        return PairRow(f"{key}-{copy}" if copy > 1 else key, dependency, *content)


def _digest(content: list[str]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def _problem(row: PairRow) -> Problem:
    return Problem(
        id=row.id,
        # Rows made from one note are not independent.
        cluster=f"{row.dependency}-{_digest([row.dependency, row.update_info])}",
        tags={"dependency": row.dependency},
        context={
            "dependency": row.dependency,
            "new_version": row.new_version,
            "description": row.description,
            "update_info": row.update_info,
            "old_code": row.old_code,
        },
        solutions={"reference": row.new_code, "stale": row.old_code},
        payload=row,
    )
