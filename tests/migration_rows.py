"""A small pair for tests: needs no library but the ones of a bundled lock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

OLD = "import numpy as np\n\ndef common(a, b):\n    return list(np.in1d(a, b))\n"
NEW = "import numpy as np\n\ndef common(a, b):\n    return list(np.isin(a, b))\n"
TESTS = (
    "def test_both():\n    assert common([1, 2], [2]) == [False, True]\n\n"
    "def test_none():\n    assert common([], [2]) == []\n"
)


def migration_row(**changes: Any) -> dict[str, Any]:
    """Return a sound row (numpy removed `in1d` in 2.4), with fields changed or (None) left out."""
    row = {
        "id": "numpy-common",
        "dependency": "numpy",
        "old_version": "1.26.4",
        "new_version": "2.4.6",
        "split": "test",
        "update_type": "removed",
        "apis": ["numpy.in1d"],
        "old_use": ["numpy.in1d"],
        "new_use": ["numpy.isin"],
        "provenance": "release notes of NumPy 2.4, expired deprecations",
        "update_info": "in1d is gone; isin does the same.",
        "description": "common(a, b) tells for each element of a whether b holds it.",
        "old_code": OLD,
        "new_code": NEW,
        "tests": TESTS,
        "preload": ["numpy"],
    }
    return {key: value for key, value in {**row, **changes}.items() if value is not None}


def write_pairs(path: Path, *rows: dict[str, Any]) -> Path:
    """Write rows as JSONL."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path
