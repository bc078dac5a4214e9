"""Which problems a candidate fixed or broke: exact tests per problem, with few false discoveries.

A problem's passes are compared by Fisher's exact test, which is right for any two numbers of
samples. Over all problems the procedure of Benjamini and Hochberg (1995) keeps the expected share
of false ones among those named at `FALSE_DISCOVERIES`. A problem whose samples all pass or all
fail, in both runs, takes no part: whoever had those passes, there was no change to see (Gilbert
2005).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.run.results_file import ResultsFile

FALSE_DISCOVERIES: Final = 0.05
"""Expected share of the named problems that did not change, at most."""

Counts = tuple[int, int, int, int]
"""Passes and samples of the baseline, passes and samples of the candidate."""


@dataclass(frozen=True, slots=True)
class ProblemChanges:
    """Problems that certainly changed, and how many did better or worse in these samples."""

    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    better: int = 0
    """Problems with a higher pass rate, by chance or not; the fixed ones are among them."""
    worse: int = 0
    too_few: tuple[int, ...] = ()
    """Samples per problem of both runs, where so few could not name any problem; else empty."""


def problem_changes(a: ResultsFile, b: ResultsFile) -> ProblemChanges:
    """Return which problems the candidate `b` fixed and broke, of those graded in both runs.

    Tasks without tests have none.
    """
    ids, counts = common_counts(a, b)
    signs = changed_problems(counts)
    moved = [new * n - old * m for old, n, new, m in counts]
    return ProblemChanges(
        tuple(key for key, sign in zip(ids, signs, strict=True) if sign > 0),
        tuple(key for key, sign in zip(ids, signs, strict=True) if sign < 0),
        sum(x > 0 for x in moved),
        sum(x < 0 for x in moved),
        () if nameable(counts) else (a.n, b.n),
    )


def common_counts(a: ResultsFile, b: ResultsFile) -> tuple[list[str], list[Counts]]:
    """Return the problems that were graded by tests in both runs, and their counts."""
    ids: list[str] = []
    counts: list[Counts] = []
    for key, old in a.scores.items():
        new = b.scores.get(key)
        if new is None or old.passed is None or new.passed is None or not (old.n and new.n):
            continue
        ids.append(key)
        counts.append((old.passed, old.n, new.passed, new.n))
    return ids, counts


def changes_json(changes: ProblemChanges) -> dict[str, Any]:
    """Return the JSON form of the changes (schemas/comparison.py)."""
    return {
        "fixed": list(changes.fixed),
        "broken": list(changes.broken),
        "better": changes.better,
        "worse": changes.worse,
    }


def changed_problems(counts: Sequence[Counts]) -> list[int]:
    """Return 1 for every problem that was fixed, -1 for one that was broken, else 0.

    Samples are taken as independent, as those of one problem are. Raises `ValueError` for counts
    that no run has.

    >>> changed_problems([(0, 10, 10, 10), (10, 10, 0, 10), (5, 10, 6, 10), (2, 2, 9, 10)])
    [1, -1, 0, 0]
    """
    from scipy.stats import false_discovery_control

    for old, n, new, m in counts:
        if not (0 <= old <= n and 0 <= new <= m and n and m):
            raise ValueError(f"{old} of {n} and {new} of {m} samples")
    tests = {
        index: (fisher_p(old, n, new, m), new * n - old * m)
        for index, (old, n, new, m) in enumerate(counts)
        if 0 < old + new < n + m
    }
    found = [0] * len(counts)
    if tests:
        adjusted = false_discovery_control([p for p, _ in tests.values()], method="bh")
        for (index, (_, moved)), p_value in zip(tests.items(), adjusted, strict=True):
            if p_value <= FALSE_DISCOVERIES:
                found[index] = (moved > 0) - (moved < 0)
    return found


def nameable(counts: Sequence[Counts]) -> bool:
    """Tell whether some problem could be named, had the samples that pass fallen otherwise.

    Each problem's test takes its passes in both runs together as given. The least p-value is then
    that of all of them in one run, as far as its samples go (Tarone 1990). Where the procedure of
    Benjamini and Hochberg names no problem by the least p-values, it names none by larger ones.
    True as well where no problem takes part, because there nothing changed.

    >>> nameable([(0, 4, 1, 4)]), nameable([(1, 4, 3, 4)]), nameable([(2, 4, 2, 4), (0, 4, 1, 4)])
    (False, True, False)
    """
    from scipy.stats import false_discovery_control

    least = [
        min(
            fisher_p(max(0, passes - m), n, min(m, passes), m),
            fisher_p(min(n, passes), n, max(0, passes - n), m),
        )
        for old, n, new, m in counts
        if 0 < (passes := old + new) < n + m
    ]
    return not least or float(false_discovery_control(least).min()) <= FALSE_DISCOVERIES


@functools.lru_cache(maxsize=16_384)
def fisher_p(old: int, n: int, new: int, m: int) -> float:
    """Return the two-sided p-value of Fisher's exact test (Fisher 1935) of two pass rates.

    >>> round(fisher_p(0, 4, 4, 4), 4)
    0.0286
    """
    from scipy.stats import fisher_exact

    return float(fisher_exact([[old, n - old], [new, m - new]]).pvalue)
