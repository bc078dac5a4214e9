"""One plain sentence per compared metric, fit to be cited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.comparison.headline import LEVEL, Headline, headline
from recode_eval.metrics import metric
from recode_eval.stats.variance import NEW_SAMPLES, PROBLEMS_LIKE_THESE
from recode_eval.terminal import plural

if TYPE_CHECKING:
    from recode_eval.comparison.differences import MetricDifference


def sentence(item: MetricDifference, baseline: str, candidate: str, task: str) -> str:
    """Return what a comparison found on one metric, with its interval, p-value and basis.

    `baseline`, `candidate` and `task` are the names to use, in the form in which they are safe to
    show. What the sentence says of a primary metric is its headline, the pair's own test at 5 %;
    the p-value that is adjusted for its family stands beside it. An exploratory metric is claimed
    to differ only where the adjusted p-value is below that level, too.
    """
    shown, found = metric(item.metric), item.estimate
    where = f"{shown.label} on {task}"
    if found.mean is None or found.low is None or found.high is None:
        return (
            f"{candidate} and {baseline} cannot be told apart in {where}: {found.method} "
            f"({basis(item)})."
        )
    unit = " points" if shown.scale == 100 else ""
    said = headline(item)
    if said is Headline.OPEN or not claimed(item):
        rest = f"{interval_words(item, found.low, found.high, sign=True)}; "
        reason, cited = " (", f"{rest}{_cited_p(item)}"
        if said is not Headline.OPEN:
            reason = ", not significant after Holm's correction ("
            cited = f"p {p_near(item.p_holm, LEVEL)}; {rest}"
        return (
            f"{candidate} is not shown to differ from {baseline} in {where}: difference "
            f"{shown.show(found.mean, sign=True)}{unit}{reason}{cited}{basis(item)})."
        )
    low, high = found.low, found.high
    if low * high >= 0:
        low, high = sorted((abs(low), abs(high)))
    interval = interval_words(item, low, high, sign=low < 0)
    return (
        f"{candidate} is {shown.show(abs(found.mean))}{unit} {said} "
        f"than {baseline} in {where} ({interval}; {_cited_p(item)}{basis(item)})."
    )


def claimed(item: MetricDifference) -> bool:
    """Tell whether a metric's headline may stand without its family's correction, or survives it.

    Only the primary metric was declared before the runs; of many others some differ by luck.
    """
    if item.family != "exploratory" or item.p_holm is None:
        return True
    return item.p_holm < LEVEL


def p_text(p_value: float | None) -> str:
    """Return a p-value with three digits, or a dash.

    >>> p_text(0.0316), p_text(0.0002), p_text(None)
    ('0.032', '< 0.001', '-')
    """
    return "-" if p_value is None else f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def _cited_p(item: MetricDifference) -> str:
    """Return `p = 0.003 (Holm: 0.012); `: what decides, and the adjusted one where it differs."""
    if item.p_value is None:
        return ""
    adjusted = item.p_holm if item.p_holm != item.p_value else None
    if adjusted is not None and item.family == "exploratory":
        return f"p {p_near(adjusted, LEVEL)}, Holm; "
    beside = "" if adjusted is None else f" (Holm: {p_text(adjusted)})"
    return f"p {p_near(item.p_value, LEVEL)}{beside}; "


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


def basis(item: MetricDifference) -> str:
    """Return the problems, clusters and samples that a difference rests on."""
    found = item.estimate
    samples = " and ".join(dict.fromkeys(map(str, item.samples)))
    parts = [
        f"{plural(found.n, 'problem')} in {plural(found.clusters, 'cluster')}",
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
