"""The one verdict on a pair of runs in a metric: better, worse, or open.

The site, `compare`, `gate` and the exports all show this verdict. It is that of the pair's own
two-sided test by clusters at 5 %, so it does not depend on which other runs or metrics stand beside
it. A p-value that is adjusted for a family of tests, or a one-sided level, is shown beside it and
never replaces it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from recode_eval.metrics import metric

if TYPE_CHECKING:
    from recode_eval.comparison.differences import MetricDifference

LEVEL: Final = 0.05
"""Two-sided, of every headline."""


class Headline(StrEnum):
    """What a pair's own test says of the candidate."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"


def headline(item: MetricDifference) -> Headline:
    """Return the verdict on the candidate in one metric."""
    return verdict(item.estimate.mean, item.p_value, higher_is_better=item.higher_is_better)


def verdict(mean: float | None, p_value: float | None, *, higher_is_better: bool) -> Headline:
    """Return the verdict for a difference, candidate minus baseline, and its two-sided p-value.

    >>> verdict(0.07, 0.042, higher_is_better=True), verdict(0.07, 0.042, higher_is_better=False)
    (<Headline.BETTER: 'better'>, <Headline.WORSE: 'worse'>)
    >>> verdict(0.07, 0.051, higher_is_better=True), verdict(None, None, higher_is_better=True)
    (<Headline.OPEN: 'open'>, <Headline.OPEN: 'open'>)
    """
    if not mean or p_value is None or p_value >= LEVEL:
        return Headline.OPEN
    return Headline.BETTER if (mean > 0) == higher_is_better else Headline.WORSE


def headline_text(item: MetricDifference, baseline: str, candidate: str, task: str) -> str:
    """Return the verdict as a short sentence; the names must be safe to show.

    It is what a comparison ends with: `B is better than A in pass@1 on migration: +7.1 points.`
    """
    shown, found = metric(item.metric), headline(item)
    unit = " points" if shown.scale == 100 else ""
    where = f"{shown.label} on {task}"
    mean = item.estimate.mean
    if mean is None:
        return f"{candidate} and {baseline} cannot be told apart in {where}."
    change = f"{shown.show(mean, sign=True)}{unit}"
    if found is Headline.OPEN:
        return f"{candidate} is not shown to differ from {baseline} in {where}: {change}."
    return f"{candidate} is {found} than {baseline} in {where}: {change}."
