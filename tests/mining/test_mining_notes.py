"""Cutting changelogs into entries, and telling which of them break something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.mining.notes import Entry, entries, entries_between, version_key

RST = """
Changelog
=========

Version 2.1.0
-------------

Unreleased

-   Remove ``old_name``; use ``new_name``. It goes on
    in a second line. :issue:`1`
-   Remove previously deprecated code. :pr:`2`

    -   ``Group.first`` is renamed to ``second``.
    -   ``third`` is removed.

Version 2.0.0
-------------
* Something else
"""
MARKDOWN = """# Changelog

## [2.1.0] - 2024-01-01

### Removed

- `old_name` function. [#1](https://example.org)
  Continued here.

### Fixed

- A crash in `other_name`.

```
- not an entry of `code`
```

## 2.0.0 (1 Jan 2020)

- Older
"""
TEXT = """History

v2.1.0 (2024-01-01)

  * Dropped old_name().

v2.0.0 (2020-01-01)

  * Older.
"""


def texts(file: str, text: str, release: str) -> list[str]:
    return [entry.text for entry in entries(file, text) if entry.release == release]


def test_restructured_text_with_nested_lists() -> None:
    found = [entry for entry in entries("CHANGES.rst", RST) if entry.release == "2.1.0"]
    assert found[-4].text.endswith("It goes on in a second line. :issue:`1`")
    assert [entry.text for entry in found[-2:]] == [
        "``Group.first`` is renamed to ``second``.",
        "``third`` is removed.",
    ]
    assert "Remove previously deprecated code" in found[-1].heading
    assert found[-2].words == ("Group.first", "second")


def test_markdown_with_headings_and_code() -> None:
    found = [entry for entry in entries("CHANGELOG.md", MARKDOWN) if entry.release == "2.1.0"]
    assert [(entry.heading, entry.breaking) for entry in found] == [
        ("Removed", True),
        ("Fixed", False),
    ]
    assert "Continued here." in found[0].text
    assert texts("CHANGELOG.md", MARKDOWN, "2.0.0") == []  # "Older" is too short to say anything


def test_plain_text_with_bare_headings() -> None:
    assert texts("HISTORY.txt", TEXT, "2.1.0") == ["Dropped old_name()."]


def test_a_folder_of_files_names_the_release_by_the_file() -> None:
    text = "What's new\n==========\n\nRemovals\n~~~~~~~~\n- Removed ``frame.thing``, see below\n"
    [entry] = entries("doc/whatsnew/v1.2.0.rst", text)
    assert (entry.release, entry.heading) == ("1.2.0", "Removals")


def test_notes_of_reno_name_no_release_and_count_if_they_are_new() -> None:
    old = {"releasenotes/notes/a.yaml": "upgrade:\n  - Removed the thing called ``a``.\n"}
    new = {
        **old,
        "releasenotes/notes/b.yaml": "upgrade:\n  - |\n    Removed ``b`` for\n    good.\n",
    }
    [entry] = entries_between(new, old, "1.0", "2.0")
    assert entry.text == "Removed ``b`` for good."
    assert entry.kind == "removed"


def test_only_entries_after_the_old_release_up_to_the_new_one_count() -> None:
    found = entries_between({"CHANGES.rst": RST}, {}, "2.0.0", "2.1.0")
    assert {entry.release for entry in found} == {"2.1.0"}
    assert entries_between({"CHANGES.rst": RST}, {}, "2.1.0", "3.0") == []


@pytest.mark.parametrize(
    ("text", "breaking", "kind"),
    [
        ("``f`` has been removed.", True, "removed"),
        ("Removed ``g``, which was deprecated in 1.0.", True, "removed"),
        ("The argument ``x`` of ``f`` is deprecated.", True, "newly-deprecated"),
        ("``f`` is renamed to ``g``.", True, "renamed"),
        ("``f`` now raises ``ValueError``.", True, "behaviour-changed"),
        ("``f`` now returns a list instead of a tuple.", True, "return-changed"),
        ("``write_text`` uses the full width.", True, "behaviour-changed"),
        ("Added ``f`` to the module.", False, "behaviour-changed"),
        ("Fix a crash of ``f``.", False, "behaviour-changed"),
        ("``f`` no longer crashes.", False, "behaviour-changed"),
        ("Type hints of ``f`` are better.", False, "behaviour-changed"),
        ("Dropped support for Python 3.6.", False, "removed"),
    ],
)
def test_what_an_entry_speaks_of(text: str, breaking: bool, kind: str) -> None:
    [entry] = entries("1.0.rst", f"- {text}\n")
    assert (entry.breaking, entry.kind) == (breaking, kind)


@given(st.text(), st.sampled_from(["a.rst", "CHANGES", "v1.0.md", "n.yaml"]))
def test_any_text_is_cut_without_an_error(text: str, file: str) -> None:
    for entry in entries(file, text):
        assert isinstance(entry, Entry)
        assert entry.text.strip()
        assert isinstance(entry.breaking, bool)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.integers(1, 99))
def test_a_later_version_is_greater(numbers: list[int], more: int) -> None:
    later = [*numbers[:-1], numbers[-1] + more]
    assert version_key(".".join(map(str, numbers))) < version_key(".".join(map(str, later)))
