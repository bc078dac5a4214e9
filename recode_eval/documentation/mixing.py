"""The arm `mixed`: a problem's own note among notes about other changes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from recode_eval.documentation.shown import Shown, Source
from recode_eval.documentation.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_eval.tasks.base import Problem

_LIBRARY_TAGS: Final = ("dependency", "package", "library")
"""The tags that name a problem's library, whatever its task calls it."""


def mixed(
    problem: Problem,
    problems: Sequence[Problem],
    notes: Mapping[str, str],
    distractors: int,
    gives_away: Callable[[Problem, str], bool],
) -> Shown | str:
    """Return a problem's note among `distractors` others, or why there is nothing to mix.

    The others are about other updates (another cluster) and do not give the answer away; those of
    the same library come first. Choice and order follow from the problem's id alone, so they are
    the same for every model and in every run.
    """
    own = notes.get(problem.id)
    if own is None:
        return "it has no note"
    others: dict[str, str] = {}
    withheld = 0
    library = library_of(problem)
    candidates = sorted(
        (one for one in problems if one.cluster != problem.cluster and one.id in notes),
        key=lambda one: (library_of(one) != library, _order("choice", problem.id, one.id)),
    )
    for one in candidates:
        if len(others) == distractors:
            break
        text = notes[one.id]
        if text == own or text in others.values():
            continue
        if gives_away(problem, text):
            withheld += 1
        else:
            others[one.id] = text
    if not others:
        return "there is no note about another change"
    chosen = sorted(
        {**others, problem.id: own}.items(),
        key=lambda item: _order("place", problem.id, item[0]),
    )
    sources = tuple(Source(key, tokens=count_tokens(text)) for key, text in chosen)
    return Shown("\n\n---\n\n".join(text for _, text in chosen), sources, withheld)


def library_of(problem: Problem) -> str:
    """Return the library that a problem is about; empty where no tag says so."""
    return next((problem.tags[tag] for tag in _LIBRARY_TAGS if tag in problem.tags), "")


def _order(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
