"""A check of a pair's texts: whether it is nearly another pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidfuzz import fuzz

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.tasks.migration import MigrationRow

SAME_CODE: Final = 90.0
"""Similarity (rapidfuzz, 0 to 100) of two new programs above which one adds nothing."""
SAME_STORY: Final = 92.0
"""The same of two descriptions."""
PER_API: Final = 3
"""Pairs about the same APIs and kind of change; more of them say the same again."""


def near_duplicate(row: MigrationRow, others: Iterable[MigrationRow]) -> str:
    """Return why a row adds nothing to others (the id of one, and what is alike); empty if it does.

    By API: `PER_API` others are about the same APIs by the same kind of change. By text: another
    one's new program or description is nearly the same.
    """
    about_it = []
    for other in others:
        if other.id == row.id:
            continue
        if fuzz.ratio(row.new_code, other.new_code, score_cutoff=SAME_CODE):
            return f"its program is nearly that of {other.id}"
        if fuzz.ratio(row.description, other.description, score_cutoff=SAME_STORY):
            return f"its description is nearly that of {other.id}"
        if set(other.apis) == set(row.apis) and other.update_type == row.update_type:
            about_it.append(other.id)
    if len(about_it) >= PER_API:
        return f"{len(about_it)} pairs are about {', '.join(row.apis)} already: {about_it[0]}, ..."
    return ""
