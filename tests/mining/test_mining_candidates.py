"""The record: written, read back strictly, sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.errors import DataError
from recode_eval.mining.candidates import Candidate, Evidence, Note, dump, ranked, read_candidates

if TYPE_CHECKING:
    from pathlib import Path


def candidate(api: str, **more: Any) -> Candidate:
    base: dict[str, Any] = {
        "id": api,
        "library": "lib",
        "old_version": "1",
        "new_version": "2",
        "old_uploaded": None,
        "new_uploaded": "2024-01-01",
        "license": "MIT",
        "kind": "removed",
    }
    return Candidate(api=api, **{**base, **more})


NOTE = Note("2", "Removed", "f is gone", "CHANGES.rst")


def test_executed_and_noted_come_first() -> None:
    unsorted = [
        candidate("d"),
        candidate("c", note=NOTE),
        candidate("b", executed=True),
        candidate("a", executed=True, note=NOTE),
    ]
    assert [(c.api, c.rank) for c in ranked(unsorted)] == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    evidence = (Evidence("probe", "returns 1", "raises", "lib.f()"),)
    written = list(ranked([candidate("a", note=NOTE, evidence=evidence), candidate("b")]))
    (tmp_path / "c.jsonl").write_bytes(dump(written))
    assert read_candidates(tmp_path / "c.jsonl") == written


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"schema":1', b'"schema":2'),
        (b'"kind":"removed"', b'"kind":"odd"'),
        (b'"executed":false', b'"executed":"no"'),
        (b'"rank":1', b'"rank":1,"more":1'),
        (b'"api":"a",', b""),
    ],
)
def test_a_line_that_is_no_candidate_is_named(tmp_path: Path, old: bytes, new: bytes) -> None:
    content = dump(ranked([candidate("a")]))
    assert old in content
    file = tmp_path / "c.jsonl"
    file.write_bytes(b"\n" + content.replace(old, new))
    with pytest.raises(DataError, match=r"c\.jsonl:2: no candidate of schema 1"):
        read_candidates(file)
