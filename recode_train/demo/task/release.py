"""Task kind of the demonstration: programs for a made-up library whose releases are in the row.

The library is put in place before the answer runs; nothing of it stands in the answer's namespace,
so it has to be imported.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import Program, Test
from recode_eval.tasks.base import Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.rows import RowError, open_rows, parse_rows, split_tests, statements, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NEW_RELEASE = "new_release"


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One row, checked."""

    id: str
    kind: str
    dependency: str
    new_version: str
    update_info: str
    old_code: str
    new_code: str
    old_library: str
    """A program that puts the old release in place."""
    new_library: str
    entry_point: str
    tests: tuple[Test, ...]


class ReleaseTask:
    """Rewrite a program for the new release."""

    conditions = (NEW_RELEASE,)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`."""
        name, rows = open_rows(self.spec, source)
        good, bad = parse_rows(rows, parse_row, lambda row: row.id)
        problems = tuple(_problem(row) for row in good.values())
        contents = ((key, asdict(row)) for key, row in good.items())
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the program with the new release in place."""
        row: ReleaseRow = problem.payload
        return {NEW_RELEASE: _program(row.new_library, code, row.tests)}

    def own_programs(self, problem: Problem) -> Iterator[tuple[str, Program]]:
        """Yield the old code with the old release, which must pass."""
        row: ReleaseRow = problem.payload
        yield "old code with the old release", _program(row.old_library, row.old_code, row.tests)


def parse_row(raw: Mapping[str, Any]) -> ReleaseRow:
    """Check a raw row; raises `RowError` for a missing field or code that is no Python."""
    fields = {name: text(raw, name) for name in ReleaseRow.__dataclass_fields__}
    for name in ("old_code", "new_code", "old_library", "new_library"):
        statements(fields[name], name)
    tests = split_tests(fields.pop("tests"), "tests")
    if not tests:
        raise RowError("tests holds no function named test...")
    return ReleaseRow(**fields, tests=tests)


def _program(library: str, code: str, tests: tuple[Test, ...]) -> Program:
    return Program(f"exec({library!r}, {{}})\n", code, tests)


def _problem(row: ReleaseRow) -> Problem:
    return Problem(
        id=row.id,
        cluster=row.id,  # each row has a library and a change of its own
        tags={"kind": row.kind},
        context={
            "dependency": row.dependency,
            "new_version": row.new_version,
            "update_info": row.update_info,
            "old_code": row.old_code,
        },
        solutions={"reference": row.new_code, "stale": row.old_code},
        payload=row,
        entry_point=row.entry_point,
    )
