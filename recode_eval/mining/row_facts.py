"""Filling in the days of a file of pairs: between which uploads a change was made.

    python -m recode_eval.mining.row_facts tasks/migration/pairs/*.yaml

writes `changed_after` and `changed_on` below `new_version` where a row lacks them, and names rows
whose days differ from the index. The rest of a file stays as it is, comments too.
"""

from __future__ import annotations

import re
import sys
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recode_eval.errors import DataError
from recode_eval.mining.notes import version_key
from recode_eval.sandbox.sdists import index_files

if TYPE_CHECKING:
    from collections.abc import Sequence

_RELEASE = (
    r"-(?P<version>\d+(\.\d+)*(\.post\d+)?)"
    r"((-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl|\.tar\.gz|\.zip)"
)
"""What follows the library's name: a wheel or a source archive of a final version. Old archives for
a Python or a system are none."""


def change_days(library: str, old: str, new: str) -> tuple[date, date]:
    """Return the days (after, on) between which the change was made public.

    `after` is the old release's upload, or that of the first later version where this is earlier:
    the old release may be a repair of its own line. `on` is the new release's upload.

    Raises:
        DataError: the index knows no day of one of the releases.
        SandboxBuildError: the index cannot be reached.
    """
    uploads = _uploads(library)
    for version in (old, new):
        if version not in uploads:
            raise DataError(f"The index has no day for {library} {version}.")
    later = [day for version, day in uploads.items() if version_key(version) > version_key(old)]
    return min([uploads[old], *later]), uploads[new]


def final_versions(library: str) -> list[str]:
    """Return the final versions that the index has; raises as `change_days` does."""
    return list(_uploads(library))


@cache
def _uploads(library: str) -> dict[str, date]:
    """Return the first upload of every final version."""
    found: dict[str, date] = {}
    name = "[-_.]+".join(map(re.escape, re.split("[-_.]+", library)))
    file = re.compile(name + _RELEASE, re.IGNORECASE)
    for entry in index_files(library):
        match = file.fullmatch(str(entry.get("filename", "")))
        day = str(entry.get("upload-time", ""))[:10]
        if day and match is not None:
            uploaded = date.fromisoformat(day)
            found[match["version"]] = min(found.get(match["version"], uploaded), uploaded)
    return found


def filled(text: str) -> tuple[str, list[str]]:
    """Return a file's text with the missing days, and the ids of rows whose days are wrong."""
    rows: list[dict[str, Any]] = yaml.safe_load(text) or []
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
            key in row and row[key] != day
            for key, day in zip(("changed_after", "changed_on"), days[str(row["id"])], strict=True)
        )
    ]
    lacking = {str(row["id"]) for row in rows if "changed_on" not in row}
    lines = []
    current = ""
    for line in text.splitlines(keepends=True):
        if match := re.match(r"- id: (\S+)", line):
            current = match[1]
        lines.append(line)
        if line.startswith("  new_version:") and current in lacking:
            after, on = days[current]
            lines.append(f"  changed_after: {after}\n  changed_on: {on}\n")
    return "".join(lines), wrong


def main(files: Sequence[str]) -> int:
    """Fill in files; exit status 1 if a row's days differ from the index."""
    status = 0
    for name in files:
        file = Path(name)
        before = file.read_text(encoding="utf-8")
        after, wrong = filled(before)
        if after != before:
            file.write_text(after, encoding="utf-8")
        for row in wrong:
            sys.stderr.write(f"{file}: {row}: its days differ from the index\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
