"""Tests of a mean change where few clusters changed, and Student's t would see what is not there.

A candidate that breaks whole updates changes a handful of clusters by a lot and the others not at
all. How many of them a run meets is then a count, and its uncertainty is that of a count: none seen
does not mean that there are none. The bound of Gaffke (2005, *Three test statistics for a
nonparametric one-sided hypothesis on the mean of a nonnegative variable*, Math. Methods of
Statistics 14) gives every cluster a random weight, and adds one unseen cluster that changed as far
as the metric's range goes. For clusters that break or do not, it is the exact binomial
(Clopper-Pearson) bound; for clusters that all changed alike, the rule of `comparison.differences`.
Learned-Miller and Thomas (2019, arXiv 1905.06208) compare it with other bounds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEP: Final = 0.1
_FARTHEST: Final = 13.0
"""The path of integration: y = scale * sinh(u) at steps of u, so far that nothing is left."""
_LEAST_WEIGHT: Final = 1e-9
_MOST_CHANGED: Final = 25
_SHARE_CHANGED: Final = 0.2


def smallest_decidable(clusters: int, level: float, reach: float = 1.0) -> float:
    """Return the smallest drop of the mean that `clusters` without any change exclude.

    `level` is one-sided, `reach` the length of the metric's range, whose unit the result has: it is
    reach * (1 - level**(1/clusters)), the Clopper-Pearson bound for 0 of G clusters.

    >>> [round(100 * smallest_decidable(count, 0.05), 1) for count in (48, 99, 161)]
    [6.1, 3.0, 1.8]
    """
    return -reach * math.expm1(math.log(level) / clusters)


def clusters_for(margin: float, level: float, reach: float = 1.0) -> int:
    """Return the fewest clusters for which `smallest_decidable` is below `margin`.

    >>> clusters_for(0.03, 0.05), clusters_for(0.05, 0.05)
    (99, 59)
    """
    if margin >= reach:
        return 2
    return math.floor(math.log(level) / math.log1p(-margin / reach)) + 1


def changed_clusters(sums: Sequence[float]) -> float:
    """Return how many clusters carry the change: (sum of squares)^2 / sum of fourth powers.

    k clusters with equal changes and none elsewhere give k; normal changes in G clusters about G/3.
    0 where nothing changed.

    >>> changed_clusters([-4, 0, 0, 4, 0])
    2.0
    """
    largest = max(map(abs, sums), default=0.0)
    if not largest:
        return 0.0
    squares = [(value / largest) ** 2 for value in sums]
    return math.fsum(squares) ** 2 / math.fsum(value**2 for value in squares)


def is_sparse(sums: Sequence[float]) -> bool:
    """Tell whether too few clusters carry the change for Student's t to hold.

    Fewer than 25, or than a fifth of all where there are fewer than 125: where
    benchmarks/gate_rates.py finds that t lets more than 5.5 % of true drops of the margin pass.

    >>> is_sparse([0.0] * 99 + [-1.0]), is_sparse([0.3, -0.2, 0.1, -0.4, 0.2, 0.1])
    (True, False)
    """
    return changed_clusters(sums) < most_changed(len(sums))


def most_changed(clusters: int) -> float:
    """Return below how many changed clusters of so many a change `is_sparse`."""
    return min(_MOST_CHANGED, _SHARE_CHANGED * clusters)


def drop_p(
    sums: Sequence[float], sizes: Sequence[int], drop: float = 0.0, *, reach: float = 1.0
) -> float:
    """Return the one-sided p-value of 'the mean fell by at least `drop`', for few changed clusters.

    `sums` are the clusters' sums of changes (positive is better), `sizes` their problems, `reach`
    the length of the metric's range. Negate `sums` for the p-value of 'the mean did not fall'. It
    is the chance that the mean with random weights, and an unseen cluster of average size that fell
    by `reach`, falls by `drop`. Raises `ValueError` for unequal lengths, no clusters, or a drop
    outside of [0, reach).

    >>> round(drop_p([0.0] * 99, [1] * 99, 0.03), 4), round(0.97**99, 4)
    (0.049, 0.049)
    """
    if len(sums) != len(sizes) or not sums or not 0 <= drop < reach:
        raise ValueError("as many sums as sizes are needed, and a drop in [0, reach)")
    gains = [total + drop * size for total, size in zip(sums, sizes, strict=True)]
    unseen = (drop - reach) * math.fsum(sizes) / len(sizes)
    return chance_below_zero([*gains, unseen])


def chance_below_zero(weights: Sequence[float], counts: Sequence[float] | None = None) -> float:
    """Return P(sum of w E <= 0) for independent standard exponential E.

    `counts` says how often each weight occurs (once).

    The moment generating function is prod 1 / (1 - w s); its transform is inverted along a vertical
    line through the saddle point, where the integrand does not oscillate (Daniels 1987).
    """
    import numpy as np
    from scipy.optimize import brentq

    w = np.array(weights, dtype=float)
    often = np.ones_like(w) if counts is None else np.array(counts, dtype=float)
    if not (w > 0).any():
        return 1.0
    if not (w < 0).any():
        return 0.0
    if float(often @ w) < 0:  # the path of integration is best for the smaller tail
        return 1.0 - chance_below_zero((-w).tolist(), often.tolist())
    w = w / np.abs(w).max()
    # A weight that is almost 0 hardly counts, and its end of the range would be out of reach.
    lowest = 1 / min(float(w.min()), -_LEAST_WEIGHT)

    def slope(s: float) -> float:
        return float((often * w / (1 - w * s)).sum() - 1 / s)

    # At the ends of (1 / lowest weight, 0) the slope is minus and plus infinity.
    near = 1e-12
    if slope(lowest * (1 - near)) >= 0:
        return 0.0
    at = brentq(slope, lowest * (1 - near), lowest * near, xtol=1e-14, rtol=1e-13)
    scale = 1 / math.sqrt(float((often * (w / (1 - w * at)) ** 2).sum()) + 1 / at**2)
    u = np.arange(0, _FARTHEST, _STEP)
    s = at + 1j * scale * np.sinh(u)
    logs = -(np.log(1 - np.outer(s, w)) @ often) - np.log(-s)
    values = np.exp(logs).real * scale * np.cosh(u)
    return float(min(1.0, max(0.0, (values.sum() - values[0] / 2) * _STEP / math.pi)))
