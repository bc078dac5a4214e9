"""Filling in the days of a file of pairs: between which uploads a change was made.

    python -m recode_eval.mining.row_facts tasks/migration/pairs/*.yaml

is for libraries of PyPI. It writes `changed_after` and `changed_on` below `new_version` where a row
lacks them, and names rows whose days differ from the index. The rest of a file stays as it is,
comments too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recode_eval.errors import DataError, ExitCode, RecodeError
from recode_eval.files import replace_file
from recode_eval.mining.notes import version_key
from recode_eval.mining.uploads import uploads
from recode_eval.tasks.days import day
from recode_eval.tasks.rows import RowError
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

_DAYS = ("changed_after", "changed_on")
_FINAL = re.compile(r"\d+(\.\d+)*(\.post\d+)?")


def change_days(library: str, old: str, new: str) -> tuple[date, date]:
    """Return the days (after, on) between which the change was made public.

    `after` is the old release's upload, or that of the first later version where this is earlier:
    the old release may be a repair of its own line. `on` is the new release's upload.

    Raises:
        DataError: the index knows no day of one of the releases.
        SandboxBuildError: the index cannot be reached.
    """
    final = _uploads(library)
    for version in (old, new):
        if version not in final:
            raise DataError(f"The index has no day for {library} {version}.")
    later = [one for version, one in final.items() if version_key(version) > version_key(old)]
    return min([final[old], *later]), final[new]


def final_versions(library: str) -> list[str]:
    """Return the final versions that the index has; raises as `change_days` does."""
    return list(_uploads(library))


def _uploads(library: str) -> dict[str, date]:
    """Return the first upload of every final version."""
    known = uploads(library)
    return {version: one for version, one in known.items() if _FINAL.fullmatch(version)}


def filled(text: str) -> tuple[str, list[str]]:
    """Return a file's text with the missing days, and the ids of rows whose days are wrong.

    Raises:
        DataError: the text is no list of rows, or is laid out so that a day has no place.
        SandboxBuildError: the index cannot be reached.
    """
    rows = _rows(text)
    days = {
        str(row["id"]): change_days(
            str(row["dependency"]), str(row["old_version"]), str(row["new_version"])
        )
        for row in rows
    }
    wrong = [
        str(row["id"])
        for row in rows
        if any(
            day(row, key) not in {None, known}
            for key, known in zip(_DAYS, days[str(row["id"])], strict=True)
        )
    ]
    lacking = {str(row["id"]): [key for key in _DAYS if row.get(key) is None] for row in rows}
    lines = []
    current = ""
    for line in text.splitlines(keepends=True):
        if match := re.match(r"- id:\s*(?P<quote>[\"']?)(?P<id>\S+)(?P=quote)\s*(#.*)?$", line):
            current = match["id"]
        lines.append(line)
        if line.startswith("  new_version:") and current in days:
            known = dict(zip(_DAYS, days[current], strict=True))
            lines += [f"  {key}: {known[key]}\n" for key in lacking[current]]
    after = "".join(lines)
    for row in _rows(after):
        if any(day(row, key) is None for key in _DAYS):
            raise DataError(
                f"{row['id']}: no place for its days; begin the row with `- id: ...` and write "
                "`new_version: ...` on a line of its own, indented by two spaces"
            )
    return after, wrong


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        rows = yaml.safe_load(text) or []
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"not readable as YAML ({one_line(error)})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError("a list of rows is expected")
    for number, row in enumerate(rows, 1):
        for key in ("id", "dependency", "old_version", "new_version"):
            if not isinstance(row.get(key), str):
                raise DataError(f"row {number}: the field {key} must be text; put it in quotes")
        for key in _DAYS:
            try:
                day(row, key)
            except RowError as error:
                raise DataError(f"row {number}: {error}") from None
    return rows


def main(files: Sequence[str]) -> int:
    """Fill in files; exit status 1 if a row's days differ from the index, else an error's own."""
    status = 0
    for name in files:
        file = Path(name)
        try:
            before = file.read_text(encoding="utf-8")
            after, wrong = filled(before)
            if after != before:
                replace_file(file, after)
        except (RecodeError, OSError, UnicodeDecodeError) as error:
            sys.stderr.write(f"{one_line(file)}: {one_line(error)}\n")
            status = error.exit_code if isinstance(error, RecodeError) else ExitCode.DATA
            continue
        for row in wrong:
            sys.stderr.write(f"{one_line(file)}: {one_line(row)}: its days differ from the index\n")
            status = status or 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
