"""Writing a file whole: the old one stays, and nothing is left beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recode_eval.errors import StorageError, UsageError
from recode_eval.files import check_file_place, check_folder_place, replace_file


def test_a_file_is_replaced_and_no_draft_stays(tmp_path: Path) -> None:
    """A draft stayed behind where the target was a folder."""
    replace_file(tmp_path / "a", "ä\r\n")
    assert (tmp_path / "a").read_bytes() == "ä\r\n".encode()
    with pytest.raises(UnicodeEncodeError):
        replace_file(tmp_path / "a", "\ud800")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "folder", "")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "folder"]
    assert (tmp_path / "a").read_bytes() == "ä\r\n".encode()


def test_a_place_is_judged_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    check_file_place(tmp_path / "file")
    check_file_place(tmp_path / "new" / "newer" / "file")
    with pytest.raises(UsageError, match="is a folder"):
        check_file_place(tmp_path)
    with pytest.raises(UsageError, match="file is not a folder"):
        check_folder_place(tmp_path / "file" / "below")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match="permissions"):
        check_file_place(tmp_path / "new" / "file")
