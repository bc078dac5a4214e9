"""A set of answers to a migration pair: right ones, stale ones and slips, each with its kind.

The kind says how an answer was made. Whether it is right is for its tests to say.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.languages.python.mutants import mutants as mutants_of
from recode_eval.languages.python.source import words_of
from validity import mutations
from validity.rewrites import REWRITES, rewritten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.tasks.migration import MigrationRow

KINDS = {
    "reference": "the new code itself",
    "renamed": "... with other names of local variables and parameters",
    "reformatted": "... laid out by ast.unparse, without comments",
    "commented": "... with more comments",
    "documented": "... with more docstrings",
    "reordered": "... with imports and functions in another order",
    "helper": "... with a function that nobody calls",
    "rewritten": "... with all of these at once",
    "stale": "the old code itself",
    "stale, rewritten": "... with all of the rewrites at once",
    "stale, mutated": "... with one slip",
    "old API put back": "the new code with a name or an argument of the old API",
    "migrated in part": "the new code with one of its changed passages as it was",
    "mutated": "the new code with one slip",
    "mutated, rewritten": "other rewrites of the new code, all at once, with one slip",
    "cut off": "the new code without its end; not a program",
}
"""Name of every kind, and what it is."""

REWRITTEN = (*REWRITES, "rewritten")
STALE = ("stale", "stale, rewritten")
MUTATED = ("mutated", "mutated, rewritten", "stale, mutated")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a pair."""

    kind: str
    code: str


def answers(
    row: MigrationRow, *, seed: int = 0, rewrites: int = 3, mutants: int = 2
) -> list[Answer]:
    """Return different answers to a pair, the same for the same seed.

    `rewrites` single rewrites of the new code are drawn, and all of them at once added; `mutants`
    of the new code and one of the rewritten new code; and one of every other kind, where the pair
    allows it.
    """
    tested = words_of("\n".join(test.code for test in row.tests))
    old, new = row.old_code, row.new_code

    def rng(kind: str) -> random.Random:
        return random.Random(f"{seed} {row.id} {kind}")

    found = [Answer("reference", new.strip())]
    drawn = rng("rewrites").sample(sorted(REWRITES), k=len(REWRITES))
    single = (
        Answer(kind, code)
        for kind in drawn
        if (code := REWRITES[kind](new, rng(kind), tested)) is not None
    )
    found += _different(single, found, rewrites)
    far = rewritten(new, rng("rewritten"), tested)
    stale = rewritten(old, rng("stale, rewritten"), tested)
    # Not a mutant of the other one, which would be closer to the reference by construction.
    apart = rewritten(new, rng("mutated, rewritten"), tested)
    put_back = mutations.with_old_api(row.old_use, row.new_use, old, new)
    in_part = mutations.migrated_in_part(old, new)
    cut = mutations.cut_off(new, rng("cut off"))
    one_each = {
        "rewritten": [far] if far else [],
        "stale": [old],
        "stale, rewritten": [stale] if stale else [],
        "old API put back": rng("old API put back").sample(put_back, k=len(put_back)),
        "migrated in part": rng("migrated in part").sample(in_part, k=len(in_part)),
        "stale, mutated": mutants_of(old, 1, rng("stale, mutated")),
        "mutated, rewritten": mutants_of(apart, 1, rng("its slip")) if apart else [],
        "cut off": [cut] if cut else [],
    }
    for kind, codes in one_each.items():
        found += _different((Answer(kind, code) for code in codes), found, 1)
    slips = mutants_of(new, mutants, rng("mutated"))
    return found + _different((Answer("mutated", code) for code in slips), found, mutants)


def _different(made: Iterable[Answer], known: list[Answer], count: int) -> list[Answer]:
    """Return the first answers that are not known yet, without the blank lines around them."""
    seen = {answer.code.strip() for answer in known}
    kept: list[Answer] = []
    for answer in made:
        code = answer.code.strip()
        if len(kept) < count and code not in seen:
            seen.add(code)
            kept.append(Answer(answer.kind, code))
    return kept
