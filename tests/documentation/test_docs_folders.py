"""Folders that a user names: what is read, and that nothing outside of them ever is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.documentation import folders
from recode_eval.documentation.folders import read_document, read_folder, told
from recode_eval.errors import UsageError


def test_documents_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.md", "a.rst", "sub/c.txt", "sub/stub.pyi", "code.py", ".hidden.md"):
        (tmp_path / name).write_text(name)
    found = read_folder(tmp_path)
    assert [one.path for one in found.found] == ["a.rst", "b.md", "sub/c.txt", "sub/stub.pyi"]
    assert found.skipped == {}


def test_what_a_hostile_folder_holds_is_left_out_and_counted(tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("SECRET")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "more.md").write_text("SECRET")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.md").write_text("\ufeffgood {{ 7 * 7 }}")
    (folder / "link.md").symlink_to(secret)
    (folder / "linked").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "dangling.md").symlink_to("nowhere")
    (folder / "binary.md").write_bytes(b"a\0b")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    (folder / "empty.md").write_text(" \n")
    (folder / "large.txt").write_text("x" * (folders.MOST_FILE + 1))
    os.mkfifo(folder / "pipe.md")
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.md"))).write_text("odd")
    (folder / "esc\x1b[31m.md").write_text("a name for a terminal")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s.md"))
        found = read_folder(folder)
    assert [one.text for one in found.found if one.path == "good.md"] == ["good {{ 7 * 7 }}"]
    assert len(found.found) == 2
    assert "\x1b" not in "".join(one.path for one in found.found)
    assert "SECRET" not in "".join(one.text for one in found.found)
    assert found.skipped == {
        "a link": 4, "binary": 1, "not UTF-8": 1, "empty": 1, "longer than 2 MiB": 1,
        "no plain file": 1, "with an odd name": 1, "unreadable": 1,
    }  # fmt: skip
    assert "4 a link" in told(found.skipped)


@pytest.mark.parametrize("name", ["MOST_TOTAL", "MOST_FILES", "MOST_ENTRIES"])
def test_gigantic_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.md").write_text("text")
    monkeypatch.setattr(folders, name, 3)
    with pytest.raises(UsageError, match="name a part"):
        read_folder(tmp_path)


def test_deep_folders_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    (deep / "x.md").write_text("too deep")
    (tmp_path / "y.md").write_text("there")
    found = read_folder(tmp_path)
    assert [one.path for one in found.found] == ["y.md"]
    assert found.skipped == {"too deep": 1}


def test_a_folder_without_documents_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\0")
    with pytest.raises(UsageError, match=r"holds no document .*left out: 1 binary"):
        read_folder(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "is empty"), (b"\0", "binary"), (b"\xe9", "not UTF-8"),
     (b"x" * (folders.MOST_FILE + 1), "longer than 2 MiB")],
)  # fmt: skip
def test_a_file_that_cannot_be_shown_is_refused(tmp_path: Path, content: bytes, part: str) -> None:
    file = tmp_path / "AGENTS.md"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=part):
        read_document(file)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="no plain file"):
        read_document(tmp_path / "pipe")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


@given(st.dictionaries(NAMES, st.binary(max_size=60), max_size=6))
def test_any_files_are_read_or_counted(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "sure.md").write_text("sure")
    wanted = 1
    for name, content in files.items():
        if name in {".", "..", "sure"}:
            continue
        (folder / f"{name}.md").write_bytes(content)
        wanted += not name.startswith(".")
    found = read_folder(folder)
    again = read_folder(folder)
    assert found.found == again.found
    assert len(found.found) + sum(found.skipped.values()) == wanted
    for one in found.found:
        assert "\n" not in one.path
        assert one.text.strip()
