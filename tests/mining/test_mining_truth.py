"""The lists of breaking changes, written by hand, against which mining is measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

from recode_eval.tasks.migration import KINDS

FILES = sorted((Path(__file__).parent / "truth").glob("*.yaml"))
API = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def test_eleven_libraries_are_listed() -> None:
    assert len(FILES) == 11


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_list_is_well_formed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    listed: dict[str, Any] = yaml.safe_load(text)
    assert text.startswith("# Source: ")
    assert "Left out: " in text
    assert listed.keys() == {"library", "old", "new", "changes"}
    assert listed["library"] == path.stem
    assert Version(listed["old"]) < Version(listed["new"])
    for change in listed["changes"]:
        assert change.keys() == {"apis", "kind", "release", "note"}
        assert change["kind"] in KINDS
        assert Version(listed["old"]) < Version(change["release"]) <= Version(listed["new"])
        assert change["note"].strip()
        assert change["apis"]
        assert all(map(API.fullmatch, change["apis"]))
        assert len(set(change["apis"])) == len(change["apis"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_change_is_listed_twice(path: Path) -> None:
    changes = yaml.safe_load(path.read_text(encoding="utf-8"))["changes"]
    notes = [change["note"] for change in changes]
    assert sorted(notes) == sorted(set(notes))
    names = [(change["kind"], frozenset(change["apis"]), change["note"]) for change in changes]
    assert len(set(names)) == len(names)
