"""Item analysis: which problems tell models apart, and which may be broken.

A problem that better models solve *less* often is suspicious: its tests or its wording may be
wrong. The measure is the corrected item-rest correlation (Lord and Novick 1968, *Statistical
Theories of Mental Test Scores*, section 15.3): how a problem's pass rate goes with the mean rate on
all other problems, over models.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def item_rest(rates: Sequence[Sequence[float]]) -> list[float | None]:
    """Return each problem's correlation with the rest over models, in [-1, 1].

    `rates[m][p]` is model m's pass rate on problem p. None where the problem or the rest does not
    vary over models, or there are fewer than three models. Raises `ValueError` for rows of unequal
    length.

    >>> found = item_rest([[0, 0.2, 1, 1], [0.5, 0.5, 0.5, 1], [1, 0.7, 0.2, 1]])
    >>> [r if r is None else round(r, 2) for r in found]
    [-0.98, 0.8, -0.99, None]
    """
    import numpy as np

    table = np.array([list(row) for row in rates], dtype=np.float64)
    if table.ndim != 2:
        raise ValueError("every model must have a rate for every problem")
    models, problems = table.shape
    if models < 3 or problems < 2:
        return [None] * problems
    rest = (table.sum(axis=1, keepdims=True) - table) / (problems - 1)
    own, others = table - table.mean(axis=0), rest - rest.mean(axis=0)
    scale = np.sqrt((own**2).sum(axis=0) * (others**2).sum(axis=0))
    # What is constant differs from its mean by rounding only.
    varies = (np.ptp(table, axis=0) > 1e-12) & (np.ptp(rest, axis=0) > 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.clip((own * others).sum(axis=0) / scale, -1, 1)
    return [float(r) if ok else None for r, ok in zip(found, varies, strict=True)]


def negative_p(correlation: float, models: int) -> float:
    """Return the one-sided p-value of 'the correlation is not below 0' (Student's t, n - 2).

    >>> round(negative_p(-0.8, 8), 4), negative_p(-1.0, 5)
    (0.0086, 0.0)
    """
    from scipy.stats import t

    if models < 3:
        return 1.0
    if abs(correlation) >= 1:
        return 0.0 if correlation < 0 else 1.0
    statistic = correlation * math.sqrt((models - 2) / (1 - correlation**2))
    return float(t.cdf(statistic, models - 2))
