"""Days of rows: which files of an index count, and how a file of pairs is filled in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from recode_eval.errors import DataError
from recode_eval.mining import row_facts, uploads

FILES = [
    ("Some_Lib-1.0.tar.gz", "2020-01-05"),
    ("some_lib-1.0-py3-none-any.whl", "2020-01-02"),
    ("some_lib-1.0-2-cp37-none-any.whl", "2019-12-31"),  # a build tag is no version 2
    ("some_lib-2.0rc1-py3-none-any.whl", "2020-06-01"),
    ("some_lib-2.0-py3-none-any.whl", "2020-07-01"),
    ("some_lib-1.0.9-py3-none-any.whl", "2021-01-01"),  # a repair of the old line
    ("some-lib-3.1.zip", "2022-01-01"),
    ("some_lib-9.0.win-amd64-py2.7.exe", "2010-01-01"),
    ("some_lib-9.0-py2.5.egg", "2010-01-01"),
    ("other-9.0-py3-none-any.whl", "2010-01-01"),
    ("some_lib_more-9.0-py3-none-any.whl", "2010-01-01"),
    ("some_lib-4.0-py3-none-any.whl", ""),
]


@pytest.fixture(autouse=True)
def _index(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def files(library: str) -> list[dict[str, str]]:
        assert library == "some-lib"
        return [
            {"filename": name, "upload-time": day and f"{day}T00:00:00Z"} for name, day in FILES
        ]

    monkeypatch.setattr(uploads, "index_files", files)
    uploads.uploads.cache_clear()
    yield
    uploads.uploads.cache_clear()


def test_a_change_lies_between_two_uploads() -> None:
    assert row_facts.change_days("some-lib", "1.0", "3.1") == (date(2019, 12, 31), date(2022, 1, 1))


def test_a_repair_of_the_old_line_does_not_hide_that_the_change_was_public_before() -> None:
    """Bug: a late repair release made a change look newer than it was."""
    assert row_facts.change_days("some-lib", "1.0.9", "3.1")[0] == date(2020, 7, 1)


def test_a_release_without_a_day_is_named() -> None:
    with pytest.raises(DataError, match=r"no day for some-lib 9\.0"):
        row_facts.change_days("some-lib", "1.0", "9.0")


TEXT = """# Pairs.
- id: one
  dependency: some-lib
  old_version: "1.0"
  new_version: "3.1"  # why
  tests: |
    # new_version: as text
    new_version: 2
- id: two
  dependency: some-lib
  old_version: "1.0"
  new_version: "3.1"
  changed_after: 2019-12-31
  changed_on: 2021-01-01
"""


def test_a_file_is_filled_in_and_keeps_everything_else() -> None:
    after, wrong = row_facts.filled(TEXT)
    added = "  changed_after: 2019-12-31\n  changed_on: 2022-01-01\n"
    assert after == TEXT.replace("  # why\n", f"  # why\n{added}")
    assert wrong == ["two"]
    assert row_facts.filled(after) == (after, ["two"])


def test_days_as_text_are_days_and_a_missing_one_is_added_alone() -> None:
    """`library init` quotes its days, and each was said to differ from the index."""
    text = TEXT.replace("  # why\n", "\n  changed_after: '2019-12-31'\n").replace(
        "- id: one", "- id: 'one'"
    )
    after, wrong = row_facts.filled(text)
    assert wrong == ["two"]
    assert after.count("changed_after") == 2
    assert after.count("changed_on: 2022-01-01") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- [", "not readable as YAML"),
        ("a: 1", "a list of rows"),
        ("- id: one\n", "row 1: the field dependency"),
        (TEXT.replace('"3.1"  # why', "3.1"), "row 1: the field new_version must be text"),
        (TEXT.replace("2021-01-01", "soon"), "row 2: the field changed_on"),
        (
            "- {id: one, dependency: some-lib, old_version: '1.0', new_version: '3.1'}\n",
            "one: no place for its days",
        ),
    ],
)
def test_a_file_that_cannot_be_filled_is_named_and_stays(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that was no list ended in a traceback, and rows in braces were left without a word."""
    file, good = tmp_path / "pairs.yaml", tmp_path / "good.yaml"
    file.write_text(text)
    good.write_text(TEXT.partition("- id: two")[0])
    assert row_facts.main([str(file), str(good), str(tmp_path / "absent")]) == 65
    said = capsys.readouterr().err
    assert told in said
    assert "absent" in said
    assert file.read_text() == text
    assert "changed_on: 2022-01-01" in good.read_text()
