"""The gate's rule for one metric: pass, regress, or the samples cannot tell (docs/ci.md).

A metric passes if its drop is certainly smaller than the margin, and regresses if a drop is certain
and may be as large as the margin. "Certainly" is the clustered interval of the paired difference.
Where few clusters carry the change, or too few are there for any proof, the exact bound of
`stats.sparse` must agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from recode_eval.comparison.differences import lower_tail_p
from recode_eval.errors import ExitCode
from recode_eval.stats.sparse import drop_p, is_sparse, smallest_decidable

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from recode_eval.comparison.differences import MetricDifference
    from recode_eval.stats.estimates import Estimate


class Verdict(StrEnum):
    """The gate's verdict on a metric, and on the whole comparison."""

    PASS = "pass"  # noqa: S105 - no password
    REGRESS = "regress"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.PASS: ExitCode.OK,
    Verdict.REGRESS: ExitCode.CHECK_FAILED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Verdict.INVALID: ExitCode.INVALID,
}
IMPROVED = "improved"
SMALL_REAL_DROP = "small real drop"
NO_INTERVAL = "no interval"
TOO_FEW_CLUSTERS = "too few clusters"
"""Even without any change, so few clusters cannot exclude a drop of the margin."""
SPARSE_CHANGES = "sparse changes"
"""Few clusters carry the change; those that were not seen may break the margin."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look knows of one metric's improvement: positive is better."""

    estimate: Estimate
    level: float
    """One-sided, of this look."""
    p_drop: float | None
    """One-sided p-value of 'there is no drop', by clusters."""
    p_rise: float | None = None
    """One-sided p-value of 'there is no improvement'."""
    p_margin: float | None = None
    """The exact one-sided p-value of 'it fell by the margin or more'; None where the interval alone
    decides, because many clusters carry the change."""
    smallest_margin: float | None = None
    """The smallest margin that so many clusters can decide at this level."""


def improvement(difference: MetricDifference) -> Estimate:
    """Return the difference with the sign turned so that positive is better."""
    found = difference.estimate
    if difference.higher_is_better or found.mean is None:
        return found
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    return replace(found, mean=-found.mean, low=low, high=high)


def evidence(
    estimate: Estimate,
    gains: Sequence[float],
    clusters: Sequence[Hashable],
    margin: float,
    level: float,
    *,
    reach: float = 1.0,
) -> Evidence:
    """Return what a metric's gains per problem prove; `reach` is the length of the metric's range.

    `estimate` is that of the gains, at confidence 1 - 2 * `level`.
    """
    p_drop = lower_tail_p(estimate)
    if p_drop is None:
        return Evidence(estimate, level, None)
    p_rise = 1 - p_drop
    totals: dict[Hashable, list[float]] = {}
    for gain, cluster in zip(gains, clusters, strict=True):
        totals.setdefault(cluster, []).append(gain)
    sums, sizes = [sum(group) for group in totals.values()], [*map(len, totals.values())]
    smallest = smallest_decidable(len(sums), level, reach)
    if estimate.reach is not None:  # every cluster changed alike: the interval is the exact one
        return Evidence(estimate, level, p_drop, p_rise, None, smallest)
    sparse = is_sparse(sums)
    if sparse:
        p_drop = max(p_drop, drop_p([-total for total in sums], sizes, reach=reach))
        p_rise = max(p_rise, drop_p(sums, sizes, reach=reach))
    # A certain gain of many clusters needs no proof of what no change could prove.
    unproven = smallest >= margin and (estimate.low is None or estimate.low <= 0)
    by_count = (sparse or unproven) and margin < reach
    p_margin = drop_p(sums, sizes, margin, reach=reach) if by_count else None
    return Evidence(estimate, level, p_drop, p_rise, p_margin, smallest)


def grade(
    estimate: Estimate, margin: float, p_drop: float | None, alpha: float
) -> tuple[Verdict, str]:
    """Apply the rule to one metric's improvement; `p_drop` is adjusted for all metrics.

    pass: the interval lies above -margin. regress: it lies below 0, the drop survives the
    correction at level `alpha`, and the interval reaches -margin. Anything else is inconclusive.
    """
    low, high = estimate.low, estimate.high
    if low is None or high is None or p_drop is None:
        return Verdict.INCONCLUSIVE, NO_INTERVAL
    if low > -margin:
        return Verdict.PASS, IMPROVED if low > 0 else SMALL_REAL_DROP if high < 0 else ""
    if high < 0 and p_drop <= alpha:
        return Verdict.REGRESS, ""
    return Verdict.INCONCLUSIVE, TOO_FEW_CLUSTERS if estimate.reach is not None else ""


def grade_evidence(
    found: Evidence, margin: float, p_drop: float | None, alpha: float
) -> tuple[Verdict, str]:
    """Apply `grade`, and refuse a `pass` that the exact bound does not grant."""
    verdict, note = grade(found.estimate, margin, p_drop, alpha)
    too_few = found.smallest_margin is not None and found.smallest_margin >= margin
    if verdict is Verdict.PASS and found.p_margin is not None and found.p_margin > found.level:
        return Verdict.INCONCLUSIVE, TOO_FEW_CLUSTERS if too_few else SPARSE_CHANGES
    if verdict is Verdict.INCONCLUSIVE and not note and too_few:
        note = TOO_FEW_CLUSTERS
    return verdict, note
