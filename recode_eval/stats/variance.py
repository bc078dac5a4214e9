"""Where the variance of a mean comes from, and the interval that only new samples would move.

Two questions have two intervals. `PROBLEMS_LIKE_THESE`: what would other problems, in other
clusters, show? That is `estimates`. `NEW_SAMPLES`: what would the model show if it were asked these
same problems again? There only the samples vary, and the interval is narrower.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.stats.estimates import NO_SPREAD, normal_quantile, wilson

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from recode_eval.stats.estimates import Bounds

PROBLEMS_LIKE_THESE: Final = "problems like these"
"""Problems and clusters are a sample of those that could have been asked."""
NEW_SAMPLES: Final = "these problems, new samples"
"""The problems are fixed; the model is sampled again."""


@dataclass(frozen=True, slots=True)
class NewSamples:
    """The interval of `NEW_SAMPLES`, in the unit of the values."""

    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the variance of a mean over `PROBLEMS_LIKE_THESE`; they add up to 1."""

    sampling: float
    problems: float
    """Between the problems of a cluster."""
    clusters: float

    def __str__(self) -> str:
        """Say it in one line."""
        parts = self.sampling, self.problems, self.clusters
        return "variance: {:.0f} % sampling, {:.0f} % problems, {:.0f} % clusters".format(
            *(100 * part for part in parts)
        )


def new_samples(
    mean: float,
    variances: Sequence[float],
    samples: int,
    confidence: float,
    bounds: Bounds,
    *,
    difference: bool = False,
) -> NewSamples:
    """Return the interval of a mean over problems that only its samples move.

    `variances` are those of the problems' values, `samples` all samples together. Samples that
    agree everywhere are no proof that they always will: the interval allows for one sample that
    does not, so it is Wilson's of `samples` values where a mean is at the end of its `bounds`. With
    `difference`, the mean is one of differences within -width to width, and the interval symmetric.

    >>> found = new_samples(0.5, [0.025] * 4, 40, 0.95, (0, 1))
    >>> round(found.low, 2), round(found.high, 2), round(found.standard_error, 3)
    (0.35, 0.65, 0.079)
    """
    error = math.sqrt(math.fsum(variances)) / len(variances)
    width, quantile = bounds[1] - bounds[0], normal_quantile((1 + confidence) / 2)
    one_sample = 1 / samples
    if difference:
        reach = quantile * math.hypot(error, width * one_sample)
        return NewSamples(max(mean - reach, -width), min(mean + reach, width), error)
    share = (mean - bounds[0]) / width
    inverse = ((error / width) ** 2 + one_sample**2) / (share * (1 - share) + one_sample)
    low, high = wilson(share, inverse, quantile)
    return NewSamples(
        min(bounds[0] + width * max(low, 0.0), mean),
        max(bounds[0] + width * min(high, 1.0), mean),
        error,
    )


def shares(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    variances: Sequence[float],
    standard_error: float | None,
) -> Shares | None:
    """Split the variance of a mean (`standard_error` squared); None where it has none.

    Within clusters the values' mean square says what problems and samples add, the samples' own
    variance is known, and what is left comes from clusters (analysis of variance, with parts below
    zero as zero). Where no cluster has two problems, clusters and problems are one: problems.
    """
    n = len(values)
    if not standard_error or standard_error <= NO_SPREAD:
        return None
    total = standard_error**2
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        groups[cluster].append(value)
    sampling = min(math.fsum(variances) / n**2, total)
    within = total
    if n > len(groups):
        means = [math.fsum(group) / len(group) for group in groups.values()]
        squares = math.fsum(
            (value - mean) ** 2
            for mean, group in zip(means, groups.values(), strict=True)
            for value in group
        )
        within = min(max(squares / (n - len(groups)) / n, sampling), total)
    return Shares(sampling / total, (within - sampling) / total, (total - within) / total)
