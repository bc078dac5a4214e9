"""One plain sentence per compared metric, fit to be cited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.metrics import metric
from recode_eval.stats.variance import NEW_SAMPLES, PROBLEMS_LIKE_THESE

if TYPE_CHECKING:
    from recode_eval.comparison.differences import MetricDifference


def sentence(item: MetricDifference, baseline: str, candidate: str, task: str) -> str:
    """Return what a comparison found on one metric, with its interval, p-value and basis.

    `baseline`, `candidate` and `task` are the names to use, in the form in which they are safe to
    show. A difference is claimed where the interval leaves out zero and the p-value, adjusted for
    all that was compared in its family, is below the level of the interval.
    """
    shown, found = metric(item.metric), item.estimate
    where = f"{shown.label} on {task}"
    if found.mean is None or found.low is None or found.high is None:
        return (
            f"{candidate} and {baseline} cannot be told apart in {where}: {found.method} "
            f"({basis(item)})."
        )
    unit = " points" if shown.scale == 100 else ""
    level = _level(item)
    p_value = item.p_value if item.p_holm is None else item.p_holm
    apart = found.low * found.high > 0
    if not (apart and p_value is not None and p_value < level):
        rest = f"{interval_words(item, found.low, found.high, sign=True)}; "
        reason, cited = " (", f"{rest}{_cited_p(item)}"
        if apart and item.p_value is not None and item.p_value < level:
            reason = ", not significant after Holm's correction ("
            cited = f"p {p_near(item.p_holm, level)}; {rest}"
        return (
            f"{candidate} is not shown to differ from {baseline} in {where}: difference "
            f"{shown.show(found.mean, sign=True)}{unit}{reason}{cited}{basis(item)})."
        )
    better = (found.mean > 0) == shown.higher_is_better
    low, high = sorted((abs(found.low), abs(found.high)))
    return (
        f"{candidate} is {shown.show(abs(found.mean))}{unit} {'better' if better else 'worse'} "
        f"than {baseline} in {where} ({interval_words(item, low, high)}; {_cited_p(item)}"
        f"{basis(item)})."
    )


def _level(item: MetricDifference) -> float:
    return round(1 - item.confidence, 12)


def p_text(p_value: float | None) -> str:
    """Return a p-value with three digits, or a dash.

    >>> p_text(0.0316), p_text(0.0002), p_text(None)
    ('0.032', '< 0.001', '-')
    """
    return "-" if p_value is None else f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def _cited_p(item: MetricDifference) -> str:
    """Return `p = 0.003, Holm; ` with the p-value that decides; '' where there is none."""
    p_value = item.p_value if item.p_holm is None else item.p_holm
    if p_value is None:
        return ""
    text = p_near(p_value, _level(item))
    return f"p {text}{'' if item.p_holm is None else ', Holm'}; "


def p_near(p_value: float | None, level: float) -> str:
    """Return `= 0.032` with as many digits as keep it on its side of the level."""
    text = p_text(p_value)
    if p_value is None or text.startswith("<"):
        return text
    below = p_value < level
    near = (digits for digits in range(3, 9) if (round(p_value, digits) < level) == below)
    return f"= {p_value:.{next(near, 9)}f}"


def interval_words(item: MetricDifference, low: float, high: float, *, sign: bool = False) -> str:
    """Return `95 % CI 1.0 to 3.0`."""
    shown = metric(item.metric)
    ends = f"{shown.show(low, sign=sign)} to {shown.show(high, sign=sign)}"
    return f"{100 * item.confidence:g} % CI {ends}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def basis(item: MetricDifference) -> str:
    """Return the problems, clusters and samples that a difference rests on."""
    found = item.estimate
    samples = " and ".join(dict.fromkeys(map(str, item.samples)))
    parts = [
        f"{found.n} problem{_s(found.n)} in {found.clusters} cluster{_s(found.clusters)}",
        *([f"n = {samples}"] if samples else []),
        "paired",
        *([str(item.family)] if item.family else []),
    ]
    return ", ".join(parts)


def two_questions(item: MetricDifference, task: str) -> str:
    """Return the interval for either question, and where its variance comes from; '' if unknown.

    `task` is its name, safe to show.
    """
    shown, found, again = metric(item.metric), item.estimate, item.new_samples
    if found.mean is None or again is None:
        return ""
    like_these = shown.show_interval(found.low, found.high, sign=True) or "no interval"
    text = (
        f"{shown.label} on {task} {shown.show(found.mean, sign=True)}: {PROBLEMS_LIKE_THESE} "
        f"{like_these}; {NEW_SAMPLES} {shown.show_interval(again.low, again.high, sign=True)}"
    )
    return f"{text}; {item.shares}." if item.shares else f"{text}."
