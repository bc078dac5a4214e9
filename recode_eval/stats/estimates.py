"""Means with honest intervals: one source of truth for every figure that is shown with an error.

Values come in clusters (the problems of one API update share its difficulty), so the unit of
chance is the cluster, not the problem. The standard error is the jackknife over clusters (CV3) of
MacKinnon, Nielsen and Webb (2023, *Cluster-robust inference: A guide to empirical practice*,
section 3), Student's t has the degrees of freedom of the effective number of clusters less one:
n^2 / sum of n_g^2 for clusters of n_g values, which is G for equal ones. A mean of a metric with a
range has Wilson's interval, a mean of differences (or without a range) the symmetric one. What the
rules are worth is simulated by benchmarks/interval_coverage.py. Where they break down the interval
says so by its method, or there is none.

A value of None is *unscored*: left out and counted, never read as zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Bounds = tuple[float, float]
"""The lowest and the highest value a metric can have, such as (0, 1) or (-2, 2)."""

FEWEST_EFFECTIVE: Final = 1.25
"""Effective clusters below which one cluster (of some 90 % of the values) is all there is."""
NO_SPREAD: Final = 1e-12
"""Standard errors below this share of the largest value are rounding."""
_FEW_MISSES: Final = 0.7
"""Effective misses (effective clusters times p(1-p)) at which the spread that was seen counts half:
so few of them cannot show how much clusters fail together. From 0.65 on, no single miss in equal
clusters raises the lower bound above that of no miss."""


class IntervalMethod(StrEnum):
    """How an interval was computed, or why it does not exist."""

    CLUSTER_WILSON = "cluster jackknife, Wilson"
    """A mean of a metric that has a range."""
    CLUSTER_T = "cluster jackknife, t"
    """A mean of differences, or of values without a range."""
    ALL_EQUAL = "all equal: Clopper-Pearson bound on clusters"
    """Every value is at the same end of the range: the exact bound for 0 or G of G clusters."""
    CLUSTER_BOOTSTRAP = "cluster bootstrap"
    """Of a figure that is no mean, such as an AUC (benchmarks/validity)."""
    NO_CHANGE = "no difference: Clopper-Pearson on clusters"
    """Paired values that are all equal (`comparison`)."""
    EQUAL_CHANGE = "equal differences: Clopper-Pearson on clusters"
    """Paired values that differ by the same amount in every cluster (`comparison`)."""
    NO_VALUES = "no values"
    ONE_CLUSTER = "one cluster: no interval"
    DOMINANT_CLUSTER = "one cluster has nearly all values: no interval"
    NO_SPREAD = "no spread between clusters: no interval"


_BOUND_METHODS: Final = frozenset({IntervalMethod.ALL_EQUAL.value, "Clopper-Pearson on clusters"})
"""The second is what results before November 2026 call it."""


def is_bound(method: str) -> bool:
    """Tell whether an interval of this method is a bound: all values were equal.

    >>> is_bound(IntervalMethod.ALL_EQUAL), is_bound("cluster jackknife, Wilson")
    (True, False)
    """
    return method in _BOUND_METHODS


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its interval, in the unit of the values. None where the data cannot tell."""

    mean: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    n: int
    """Values that count."""
    clusters: int
    """Clusters they come from."""
    method: IntervalMethod
    excluded: int = 0
    """Values that were None."""
    effective_clusters: float | None = None
    """Clusters of equal size that would be worth as much: n^2 / sum of n_g^2, in [1, clusters]."""
    reach: float | None = None
    """The largest value possible in either direction, where the interval allows for clusters that
    were not seen (all that were seen are equal)."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """Per cluster the number of values and their sum."""

    sizes: list[int]
    sums: list[float]
    lowest: float
    highest: float
    excluded: int

    @property
    def n(self) -> int:
        return sum(self.sizes)

    @property
    def effective(self) -> float:
        return self.n**2 / sum(size * size for size in self.sizes)

    @property
    def mean(self) -> float:
        # Rounding must not put the mean outside of its values.
        return min(max(math.fsum(self.sums) / self.n, self.lowest), self.highest)

    def estimate(
        self,
        method: IntervalMethod,
        interval: tuple[float, float] | None = None,
        standard_error: float | None = None,
    ) -> Estimate:
        low, high = interval or (None, None)
        return Estimate(
            mean=self.mean if self.n else None,
            low=low,
            high=high,
            standard_error=standard_error,
            n=self.n,
            clusters=len(self.sizes),
            effective_clusters=self.effective if self.n else None,
            method=method,
            excluded=self.excluded,
        )


def cluster_mean(
    values: Sequence[float | None],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
    *,
    bounds: Bounds | None = None,
) -> Estimate:
    """Return the mean of `values` with a clustered interval within the metric's `bounds`.

    `clusters[i]` names the cluster of `values[i]`; for independent values give each its own. The
    mean weighs every value alike, so a larger cluster weighs more. Without bounds the interval is
    that of `cluster_t`. With them it is Wilson's (1927) score interval with the effective sample
    size of a survey, p(1-p) / SE^2 for p the mean's place in the range (Korn and Graubard 1998).
    Where p is so near an end that the clusters cannot show their spread, that size is drawn to the
    one with which Wilson's bound for p at the very end equals Clopper and Pearson's on clusters.
    Special cases: all values at one end of `bounds` have that bound; one cluster, or clusters that
    do not differ otherwise, have no interval. Raises `ValueError` for unequal lengths, values that
    are not finite or outside of `bounds`, confidence not in (0, 1).

    >>> found = cluster_mean([1.0] * 95 + [0.0], range(96), bounds=(0, 1))
    >>> round(found.low, 3), round(found.high, 3), str(found.method)
    (0.943, 0.998, 'cluster jackknife, Wilson')
    """
    sample = _sample(values, clusters, confidence, bounds)
    degenerate = _degenerate(sample, confidence, bounds)
    if degenerate is not None:
        return degenerate
    if bounds is None:
        return _symmetric(sample, confidence, bounds)
    error, width = _standard_error(sample), bounds[1] - bounds[0]
    share = (sample.mean - bounds[0]) / width
    quantile = _t_quantile((1 + confidence) / 2, sample.effective - 1)
    inverse = _inverse_size(share, error / width, sample, (1 - confidence) / 2, quantile)
    low, high = wilson(share, inverse, quantile)
    interval = (
        min(max(bounds[0] + width * low, bounds[0]), sample.mean),
        max(min(bounds[0] + width * high, bounds[1]), sample.mean),
    )
    return sample.estimate(IntervalMethod.CLUSTER_WILSON, interval, error)


def cluster_t(
    values: Sequence[float | None],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
    *,
    bounds: Bounds | None = None,
) -> Estimate:
    """Return the mean of `values`, such as differences, with a symmetric t-interval.

    It is clipped to `bounds`. Special cases and errors are those of `cluster_mean`.

    >>> found = cluster_t([1.0, 1.0, 0.0, 0.0], ["a", "b", "b", "c"])
    >>> round(found.standard_error, 3), round(found.effective_clusters, 3)
    (0.192, 2.667)
    """
    sample = _sample(values, clusters, confidence, bounds)
    return _degenerate(sample, confidence, bounds) or _symmetric(sample, confidence, bounds)


def _symmetric(sample: _Sample, confidence: float, bounds: Bounds | None) -> Estimate:
    error = _standard_error(sample)
    reach = _t_quantile((1 + confidence) / 2, sample.effective - 1) * error
    interval = _clipped(sample.mean - reach, sample.mean + reach, bounds)
    return sample.estimate(IntervalMethod.CLUSTER_T, interval, error)


def _inverse_size(
    share: float, error: float, sample: _Sample, tail: float, quantile: float
) -> float:
    """Return one over the effective sample size of a mean at `share` of its range.

    The spread that was seen says error^2 / (p(1-p)). Its weight falls with the number of misses: a
    single miss comes from one cluster, whether or not clusters fail together. What takes its place
    treats each cluster as one value.
    """
    variance = share * (1 - share)
    misses = sample.effective * variance
    weight = misses**2 / (misses**2 + _FEW_MISSES**2)
    end = tail ** (1 / len(sample.sizes))  # Clopper-Pearson for G of G
    as_clusters = (1 - end) / (end * quantile**2)
    return float(weight * error**2 / variance + (1 - weight) * as_clusters)


def wilson(share: float, inverse_size: float, quantile: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Wilson 1927).

    `inverse_size` is one over the (effective) sample size, `quantile` that of the normal (or t)
    distribution.

    >>> [round(end, 3) for end in wilson(0.5, 1 / 10, 1.96)]
    [0.237, 0.763]
    """
    square = quantile**2 * inverse_size
    centre = share + square / 2
    reach = math.sqrt(square * share * (1 - share) + square**2 / 4)
    return (centre - reach) / (1 + square), (centre + reach) / (1 + square)


def minimum_detectable_difference(
    standard_error: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    clusters: float | None = None,
) -> float:
    """Return the true difference that a two-sided test at level `alpha` finds with chance `power`.

    `standard_error` is that of the (paired) difference; the result has its unit. Normal
    approximation, or Student's t with `clusters` - 1 degrees of freedom where the (effective)
    number of clusters is given. Raises `ValueError` for levels outside of (0, 1) and one cluster.
    """
    if standard_error < 0 or not 0 < alpha < 1 or not 0 < power < 1:
        raise ValueError("the standard error must be >= 0, alpha and power between 0 and 1")
    degrees = math.inf if clusters is None else clusters - 1
    if degrees < FEWEST_EFFECTIVE - 1:
        raise ValueError("a difference needs more than one cluster")
    return standard_error * (_t_quantile(1 - alpha / 2, degrees) + _t_quantile(power, degrees))


def _sample(
    values: Sequence[float | None],
    clusters: Sequence[Hashable],
    confidence: float,
    bounds: Bounds | None,
) -> _Sample:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not be {confidence}")
    groups: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        if value is None:
            continue
        if not math.isfinite(value):
            raise ValueError(f"a value is {value}; what has no value must be None")
        if bounds is not None and not bounds[0] <= value <= bounds[1]:
            raise ValueError(f"a value is {value}, outside of the metric's range {bounds}")
        groups.setdefault(cluster, []).append(float(value))
    every = [value for group in groups.values() for value in group]
    return _Sample(
        sizes=[len(group) for group in groups.values()],
        sums=[math.fsum(group) for group in groups.values()],
        lowest=min(every, default=0.0),
        highest=max(every, default=0.0),
        excluded=len(values) - len(every),
    )


def _degenerate(sample: _Sample, confidence: float, bounds: Bounds | None) -> Estimate | None:
    """Return the estimate where a t-interval would be undefined or dishonest, else None."""
    groups = len(sample.sizes)
    if not groups:
        return sample.estimate(IntervalMethod.NO_VALUES)
    if groups == 1:
        return sample.estimate(IntervalMethod.ONE_CLUSTER)
    if bounds is not None and sample.lowest == sample.highest and sample.lowest in bounds:
        # Clopper-Pearson for 0 of G; its other end is where alpha/2 of such samples still happen.
        width = (bounds[1] - bounds[0]) * (1 - ((1 - confidence) / 2) ** (1 / groups))
        at_low = sample.lowest == bounds[0]
        interval = (bounds[0], bounds[0] + width) if at_low else (bounds[1] - width, bounds[1])
        return sample.estimate(IntervalMethod.ALL_EQUAL, interval)
    scale = max(abs(sample.lowest), abs(sample.highest))
    if _standard_error(sample) <= NO_SPREAD * scale:
        return sample.estimate(IntervalMethod.NO_SPREAD)
    if sample.effective < FEWEST_EFFECTIVE:
        return sample.estimate(IntervalMethod.DOMINANT_CLUSTER)
    return None


def _standard_error(sample: _Sample) -> float:
    """Return the jackknife error: what leaving each cluster out does to the mean (CV3).

    Equal clusters have the textbook error of a mean of their means.
    """
    groups, n, mean = len(sample.sizes), sample.n, sample.mean
    squares = math.fsum(
        ((total - size * mean) / (n - size)) ** 2
        for total, size in zip(sample.sums, sample.sizes, strict=True)
    )
    return math.sqrt(squares * (groups - 1) / groups)


def _clipped(low: float, high: float, bounds: Bounds | None) -> tuple[float, float]:
    lowest, highest = bounds or (-math.inf, math.inf)
    return max(low, lowest), min(high, highest)


def normal_quantile(probability: float) -> float:
    """Return the z that a share `probability` of the normal distribution lies below."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def _t_quantile(probability: float, degrees: float) -> float:
    from scipy.special import stdtrit

    if math.isinf(degrees):
        return normal_quantile(probability)
    return float(stdtrit(degrees, probability))
