"""Every pair of many models at once: the p-values of `comparison.difference`, by whole arrays.

A board of 200 models has 19,900 pairs; one by one they take minutes. The definitions, special cases
included, are those of `comparison.change` and `comparison.two_sided_p`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recode_eval.stats.estimates import FEWEST_EFFECTIVE, NO_SPREAD

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from recode_eval.stats.estimates import Bounds


def pairwise(
    values: Sequence[Sequence[float | None]],
    clusters: Sequence[Hashable],
    bounds: Bounds = (0.0, 1.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for every pair of models the mean difference and its two-sided p-value.

    `values[i][p]` is what model i has on problem p (None: no value), `clusters[p]` the problem's
    cluster, `bounds` the metric's range. Both results are square: at [i, j] stands the difference
    i minus j over the problems in which both have a value. NaN: no such problem, or a p-value that
    the data cannot give (one cluster).
    """
    import numpy as np

    count = len(values)
    table = np.array(
        [[math.nan if x is None else x for x in row] for row in values], dtype=np.float64
    ).reshape(count, len(clusters))
    means, p_values = np.full((count, count), math.nan), np.full((count, count), math.nan)
    if not clusters:
        return means, p_values
    numbers: dict[Hashable, int] = {}
    named = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])
    order = np.argsort(named, kind="stable")
    starts = np.searchsorted(named[order], np.arange(len(numbers)))
    table = table[:, order]
    reach = bounds[1] - bounds[0]
    for i in range(count):
        mean, p_value = _against(table[i] - table[i + 1 :], starts, reach)
        means[i, i + 1 :], means[i + 1 :, i] = mean, -mean
        p_values[i, i + 1 :] = p_values[i + 1 :, i] = p_value
    return means, p_values


def _against(
    changes: NDArray[np.float64], starts: NDArray[np.int64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and p-value of every row of changes; NaN is a problem that does not count."""
    import numpy as np
    from scipy.special import stdtr

    known = ~np.isnan(changes)
    sizes = np.add.reduceat(known.astype(np.float64), starts, axis=1)
    sums = np.add.reduceat(np.where(known, changes, 0.0), starts, axis=1)
    lowest = np.where(known, changes, math.inf).min(axis=1)
    highest = np.where(known, changes, -math.inf).max(axis=1)
    n, groups = sizes.sum(axis=1), (sizes > 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.clip(sums.sum(axis=1) / n, lowest, highest)
        left_out = (sums - sizes * mean[:, None]) / (n[:, None] - sizes)
        error = np.sqrt(np.einsum("ij,ij->i", left_out, left_out) * (groups - 1) / groups)
        effective = n**2 / np.einsum("ij,ij->i", sizes, sizes)
        p_value = 2 * stdtr(effective - 1, -np.abs(mean) / error)
    scale = np.maximum(np.abs(lowest), np.abs(highest))
    # All clusters changed alike: the largest chance of that by luck (`comparison.differences`).
    alike = ~(error > NO_SPREAD * scale)
    luck = (reach / (reach + np.abs(mean))) ** groups
    p_value[alike] = np.minimum(1.0, 2 * luck[alike])
    p_value[groups < 2] = math.nan
    p_value[~alike & (effective < FEWEST_EFFECTIVE)] = math.nan
    return mean, p_value
