"""Means with honest intervals: one source of truth for every figure that is shown with an error.

Values come in clusters (the problems of one API update share its difficulty), so the unit of
chance is the cluster, not the problem. The standard error is the cluster-robust one of a mean with
the G/(G-1) correction, the interval Student's t with G-1 degrees of freedom (Miller 2024, *Adding
Error Bars to Evals*, arXiv 2411.00640; Cameron and Miller 2015). Where that breaks down the
interval says so by its method, or there is none. For a paired comparison of two models pass the
differences per problem.

A value of None is *unscored*: left out and counted, never read as zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Bounds = tuple[float, float]
"""The lowest and the highest value a metric can have, such as (0, 1) or (-2, 2)."""

_BOOTSTRAP_CELLS = 4_000_000
"""Counts drawn at a time (32 MB), so that memory does not grow with the number of resamples."""


class IntervalMethod(StrEnum):
    """How an interval was computed, or why it does not exist."""

    CLUSTER_T = "cluster t"
    CLOPPER_PEARSON = "Clopper-Pearson on clusters"
    """Every value is at the same end of the range: the exact binomial interval for 0 or G of G."""
    CLUSTER_BOOTSTRAP = "cluster bootstrap"
    NO_CHANGE = "no difference: Clopper-Pearson on clusters"
    """Paired values that are all equal (`comparison`)."""
    EQUAL_CHANGE = "equal differences: Clopper-Pearson on clusters"
    """Paired values that differ by the same amount in every cluster (`comparison`)."""
    NO_VALUES = "no values"
    ONE_CLUSTER = "one cluster: no interval"
    NO_SPREAD = "no spread between clusters: no interval"


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
    """Return the mean of `values` with a clustered t-interval, clipped to the metric's `bounds`.

    `clusters[i]` names the cluster of `values[i]`; for independent values give each its own. The
    mean weighs every value alike, so a larger cluster weighs more. Special cases: all values at one
    end of `bounds` give a Clopper-Pearson interval on the clusters (t would claim certainty); one
    cluster, or clusters that do not differ otherwise, give no interval. Raises `ValueError` for
    unequal lengths, values that are not finite or outside of `bounds`, confidence not in (0, 1).
    """
    sample = _sample(values, clusters, confidence, bounds)
    degenerate = _degenerate(sample, confidence, bounds)
    if degenerate is not None:
        return degenerate
    error = _standard_error(sample)
    reach = _t_quantile((1 + confidence) / 2, len(sample.sizes) - 1) * error
    interval = _clipped(sample.mean - reach, sample.mean + reach, bounds)
    return sample.estimate(IntervalMethod.CLUSTER_T, interval, error)


def bootstrap_interval(
    values: Sequence[float | None],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
    *,
    bounds: Bounds | None = None,
    resamples: int = 9_999,
    seed: int = 0,
) -> Estimate:
    """Return the mean with the percentile interval of a bootstrap that draws whole clusters.

    A cross-check of `cluster_mean`, without its assumption of a normal mean; a little narrow below
    some 30 clusters. The same `seed` gives the same interval. Special cases and errors are those of
    `cluster_mean`.
    """
    import numpy as np

    sample = _sample(values, clusters, confidence, bounds)
    degenerate = _degenerate(sample, confidence, bounds)
    if degenerate is not None:
        return degenerate
    sizes, sums = np.array(sample.sizes), np.array(sample.sums)
    chances = np.full(len(sizes), 1 / len(sizes))
    rng = np.random.default_rng(seed)
    step = max(1, _BOOTSTRAP_CELLS // len(sizes))
    means = []
    for start in range(0, resamples, step):
        counts = rng.multinomial(len(sizes), chances, size=min(step, resamples - start))
        means.append((counts @ sums) / (counts @ sizes))
    drawn = np.concatenate(means)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return sample.estimate(
        IntervalMethod.CLUSTER_BOOTSTRAP,
        _clipped(float(low), float(high), bounds),
        float(np.std(drawn, ddof=1)),
    )


def minimum_detectable_difference(
    standard_error: float, *, alpha: float = 0.05, power: float = 0.8, clusters: int | None = None
) -> float:
    """Return the true difference that a two-sided test at level `alpha` finds with chance `power`.

    `standard_error` is that of the (paired) difference; the result has its unit. Normal
    approximation, or Student's t with `clusters` - 1 degrees of freedom where they are given.
    """
    if standard_error < 0 or not 0 < alpha < 1 or not 0 < power < 1:
        raise ValueError("the standard error must be >= 0, alpha and power between 0 and 1")
    degrees = math.inf if clusters is None else clusters - 1
    if degrees < 1:
        raise ValueError("a difference needs at least two clusters")
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
        return sample.estimate(IntervalMethod.CLOPPER_PEARSON, interval)
    scale = max(abs(sample.lowest), abs(sample.highest))
    if _standard_error(sample) <= 1e-12 * scale:
        return sample.estimate(IntervalMethod.NO_SPREAD)
    return None


def _standard_error(sample: _Sample) -> float:
    """Return the square root of G/(G-1) times the sum of squared cluster residuals, over n."""
    groups = len(sample.sizes)
    mean = sample.mean
    squares = math.fsum(
        (total - size * mean) ** 2 for total, size in zip(sample.sums, sample.sizes, strict=True)
    )
    return math.sqrt(squares * groups / (groups - 1)) / sample.n


def _clipped(low: float, high: float, bounds: Bounds | None) -> tuple[float, float]:
    lowest, highest = bounds or (-math.inf, math.inf)
    return max(low, lowest), min(high, highest)


def _t_quantile(probability: float, degrees: float) -> float:
    from scipy.special import ndtri, stdtrit

    if math.isinf(degrees):
        return float(ndtri(probability))
    return float(stdtrit(degrees, probability))
