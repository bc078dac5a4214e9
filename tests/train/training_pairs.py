"""Small training pairs for tests: programs of the standard library, as rows of `migration`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migration_rows import migration_row, write_pairs

from recode_train.data import PairSet, load_pairs

if TYPE_CHECKING:
    from pathlib import Path

PREFILL = "Let me solve this step by step.\n<think>"
OLD = "import string\n\ndef shout(text):\n    return string.upper(text)\n"
NEW = "import string\n\ndef shout(text):\n    return str.upper(text)\n"
TESTS = "def test_word():\n    assert shout('a') == 'A'\n"


def training_row(**changes: Any) -> dict[str, Any]:
    """Return a sound row of the split for training."""
    row = migration_row(
        id="string-shout",
        split="train",
        apis=["numpy.shout"],
        old_use=["string.upper"],
        new_use=["_.upper"],
        old_code=OLD,
        new_code=NEW,
        tests=TESTS,
        preload=[],
    )
    return {key: value for key, value in {**row, **changes}.items() if value is not None}


def pair_set(path: Path, *rows: dict[str, Any]) -> PairSet:
    """Load rows as training pairs."""
    return load_pairs(str(write_pairs(path / "pairs.jsonl", *rows)))


def turn(code: str, thoughts: str = "hm") -> str:
    """Return a well-formed completion of the prefill."""
    return f"\n{thoughts}\n</think>\n<answer>\n```python\n{code}\n```\n</answer>"
