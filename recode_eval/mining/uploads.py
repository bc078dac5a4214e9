"""When an index got each version of a library."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from recode_eval.sandbox.sdists import index_files

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = r"-(?P<version>\d[^-]*)((-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl|\.tar\.gz|\.zip)"
"""What follows the library's name: a wheel or a source archive. Old archives for a Python or a
system are none."""


@cache
def uploads(library: str) -> Mapping[str, date]:
    """Return the day (UTC) of each version's first file; what the index has no day of is left out.

    Raises:
        NotPureError: the index does not know the library.
        SandboxBuildError: the index cannot be reached.
    """
    found: dict[str, date] = {}
    name = "[-_.]+".join(map(re.escape, re.split("[-_.]+", library)))
    file = re.compile(name + _FILE, re.IGNORECASE)
    for entry in index_files(library):
        match = file.fullmatch(str(entry.get("filename", "")))
        text = str(entry.get("upload-time", ""))[:10]
        if text and match is not None:
            uploaded = date.fromisoformat(text)
            found[match["version"]] = min(found.get(match["version"], uploaded), uploaded)
    return found
