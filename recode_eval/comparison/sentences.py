"""One plain sentence per compared metric, fit to be cited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.metrics import metric
from recode_eval.stats.variance import NEW_SAMPLES, PROBLEMS_LIKE_THESE

if TYPE_CHECKING:
    from recode_eval.comparison.differences import MetricDifference


def sentence(item: MetricDifference, baseline: str, candidate: str) -> str:
    """Return what a comparison found on one metric, with its interval and what it rests on.

    `baseline` and `candidate` are the names to use, in the form in which they are safe to show. A
    difference is claimed where the interval leaves out zero and the p-value, adjusted for all that
    was compared in its family, is below the level of the interval.
    """
    shown, found = metric(item.metric), item.estimate
    if found.mean is None or found.low is None or found.high is None:
        return (
            f"{candidate} and {baseline} cannot be told apart in {shown.label}: {found.method} "
            f"({_basis(item)})."
        )
    unit = " points" if shown.scale == 100 else ""
    p_value = item.p_value if item.p_holm is None else item.p_holm
    certain = p_value is not None and p_value < 1 - item.confidence and found.low * found.high > 0
    if not certain:
        return (
            f"{candidate} is not shown to differ from {baseline} in {shown.label}: difference "
            f"{shown.show(found.mean, sign=True)}{unit} "
            f"({_interval(item, found.low, found.high, sign=True)}; {_basis(item)})."
        )
    better = (found.mean > 0) == shown.higher_is_better
    low, high = sorted((abs(found.low), abs(found.high)))
    return (
        f"{candidate} is {shown.show(abs(found.mean))}{unit} {'better' if better else 'worse'} "
        f"than {baseline} in {shown.label} ({_interval(item, low, high)}; {_basis(item)})."
    )


def _interval(item: MetricDifference, low: float, high: float, *, sign: bool = False) -> str:
    shown = metric(item.metric)
    ends = f"{shown.show(low, sign=sign)} to {shown.show(high, sign=sign)}"
    return f"{100 * item.confidence:g} % CI {ends}"


def _basis(item: MetricDifference) -> str:
    found = item.estimate
    samples = " and ".join(dict.fromkeys(map(str, item.samples)))
    parts = [
        f"{found.n} problems in {found.clusters} clusters",
        *([f"n = {samples}"] if samples else []),
        "paired",
        *([str(item.family)] if item.family else []),
    ]
    return ", ".join(parts)


def two_questions(item: MetricDifference) -> str:
    """Return the interval for either question, and where its variance comes from; '' if unknown."""
    shown, found, again = metric(item.metric), item.estimate, item.new_samples
    if found.mean is None or again is None:
        return ""
    like_these = shown.show_interval(found.low, found.high, sign=True) or "no interval"
    text = (
        f"{shown.label} {shown.show(found.mean, sign=True)}: {PROBLEMS_LIKE_THESE} {like_these}; "
        f"{NEW_SAMPLES} {shown.show_interval(again.low, again.high, sign=True)}"
    )
    return f"{text}; {item.shares}." if item.shares else f"{text}."
