"""Small rows in the arena schema, for tests of everything that is not the data itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = "import textwrap\n\ndef f(x):\n    return textwrap.dedent(x, times=2)\n"
STALE = "import textwrap\n\ndef f(x):\n    return textwrap.dedent(x)\n"


def arena_row(index: int = 0, update: int = 0) -> dict[str, Any]:
    """Return a sound row; rows of one `update` share a cluster."""
    update_id = f"[textwrap.dedent]:[add-argument]:[update-{update}]"
    return {
        "update": {
            "description": "A new argument `times`.",
            "rationale": "Repeating text is common.",
            "docstring": "`times` (default 1) repeats the text.",
            "signature": "textwrap.dedent(text, times=1)",
            "imports": "import textwrap\nold_dedent = textwrap.dedent",
            "implementation": "def dedent(text, times=1):\n    return old_dedent(text) * times\n",
            "unit_tests": "def test_once():\n    assert textwrap.dedent('a') == 'a'\n",
            "update_type": "add-argument",
            "function_path": "textwrap.dedent",
            "package": "textwrap",
            "update_id": update_id,
        },
        "update_id": update_id,
        "scenario": "Somebody shouts.",
        "problem": f"Say it twice (variant {index}).",
        "solution_signature": "def f(x: str) -> str:",
        "unit_tests": "def test_a():\n    assert f('a') == 'aa'\n\n\n"
        "def test_empty():\n\n    assert f('') == ''\n",
        "imports": "import textwrap\nold_dedent = textwrap.dedent",
        "ref_solution": REFERENCE,
        "stale_solution": STALE,
        "prog_syn_id": f"{update_id}:[prog_syn-{index}]",
    }


def write_rows(path: Path, count: int = 6) -> Path:
    """Write `count` rows, two per update."""
    rows = [arena_row(index, index // 2) for index in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
