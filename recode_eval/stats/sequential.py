"""Looking early without raising the errors: group-sequential levels (Lan and DeMets 1983).

A candidate's samples come in looks: first a few of every problem, then more. Testing at the full
level at every look would err more often than alpha, so each look may spend a part of alpha only,
by a function that resembles the bounds of O'Brien and Fleming: little at first, so that the last
look keeps nearly the whole level. How much a look's level costs depends on how much of its data
the looks before have seen; that is known from the standard errors (the covariance of an early
and a later mean is the later one's variance).

What is spent is planned by the number of samples alone, so that nothing that was observed decides
how much of alpha a look gets. The p-value that accounts for the looks is the smallest alpha at
which the look's bound would have been crossed (Liu and Anderson 2008); several metrics go through
Holm's procedure with these.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import float64
    from numpy.typing import NDArray

SAMPLE_NOISE: Final = 1.9
"""Planned variance of one sample's verdict over that of the problems' true changes: that of the
simulated checkpoints of docs/ci.md. Other data make the looks less well timed, not less honest."""
LOOKS: Final = 5
HALF_SPENT: Final = 10
"""Verdicts of one training after which half of its alpha is spent."""
_NODES: Final = 96
_FARTHEST: Final = 8.0
"""Standard deviations beyond which a normal variable is not followed."""
_LEAST_GAIN: Final = 0.01
"""By how much a look must be more informed than the one before, relatively. Estimated errors may
even grow; to assume that a look is newer than it is only makes its level smaller."""
_LEAST_LEVEL: Final = 1e-12


def default_looks(n: int, least: int) -> tuple[int, ...]:
    """Return the samples per problem at each of five looks, of which the last has all `n`.

    No look has fewer than `least`.
    """
    at = {max(least, math.ceil(n * look / LOOKS)) for look in range(1, LOOKS + 1)}
    return (*sorted(count for count in at if count < n), n)


def planned_times(looks: Sequence[int]) -> tuple[float, ...]:
    """Return the spending time of each look, in (0, 1]: the planned information's share, squared.

    The difference of a problem has the variance of its true change, of the baseline's samples (all
    of them at every look), and of the candidate's samples so far. Squared, because most of the
    information is there early: spending with it would leave the last look too little (simulated:
    as many samples are saved, and an equally good model passes half a point less often than by
    the fixed rule, instead of two).
    """
    last = looks[-1]
    final = 1 + 2 * SAMPLE_NOISE / last
    return tuple((final / (1 + SAMPLE_NOISE / last + SAMPLE_NOISE / n)) ** 2 for n in looks)


def verdict_share(number: int) -> float:
    """Return the share of alpha that the `number`-th verdict of a training (from 1) may spend.

    h / ((k + h - 1) (k + h)) with h = 10: after k verdicts k / (k + h) is spent, all of it after
    infinitely many. Nobody needs to know how many there will be, and the union bound holds however
    the verdicts depend on each other (a shared baseline, checkpoints that resemble each other).

    >>> [round(verdict_share(number), 4) for number in (1, 10, 50)]
    [0.0909, 0.0263, 0.0028]
    >>> round(sum(map(verdict_share, range(1, 51))), 4) == round(50 / 60, 4)
    True
    """
    if number < 1:
        raise ValueError("verdicts are counted from 1")
    return HALF_SPENT / ((number + HALF_SPENT - 1) * (number + HALF_SPENT))


def spent(time: float, alpha: float) -> float:
    """Return how much of the one-sided `alpha` is spent until `time`, in (0, 1].

    2 - 2 Phi(z / sqrt(time)) with z the upper alpha/2 quantile (Lan and DeMets 1983).
    """
    from scipy.special import ndtr, ndtri

    return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(time)))


def nominal_levels(
    times: Sequence[float], information: Sequence[float | None], alpha: float
) -> list[float]:
    """Return the one-sided level of every look so far, which together spend `spent(times[-1])`.

    `information[i]` is 1 / standard error**2 at look `i`, in any unit. None says that there is no
    standard error; from then on a look gets just what it may newly spend (Bonferroni), which holds
    however the looks depend on each other. `times` may be planned further than `information`.
    """
    if len(times) == 1:
        return [alpha]  # exactly the fixed rule
    budget = [spent(time, alpha) for time in times[: len(information)]]
    new = [now - before for now, before in zip(budget, [0.0, *budget], strict=False)]
    levels: list[float] = []
    looks = _Walk()
    for share, known in zip(new, information, strict=True):
        level = looks.step(known, share) if known is not None and looks.known else share
        looks.known = looks.known and known is not None
        levels.append(max(level, _LEAST_LEVEL))
    return levels


def adjusted_p(
    p_value: float, times: Sequence[float], information: Sequence[float | None]
) -> float:
    """Return the smallest alpha at which the latest look's level reaches its `p_value`.

    Not below `p_value`, and 1 where not even an alpha of one half would do.
    """
    from scipy.optimize import brentq

    if len(times) == 1:
        return p_value

    def missing(log_alpha: float) -> float:
        return nominal_levels(times, information, math.exp(log_alpha))[-1] - p_value

    low, high = math.log(max(p_value, _LEAST_LEVEL)), math.log(0.5)
    if low >= high or missing(high) <= 0:
        return 1.0
    if missing(low) >= 0:
        return p_value
    return math.exp(brentq(missing, low, high, xtol=1e-6))


@functools.cache
def _quadrature() -> tuple[NDArray[float64], NDArray[float64]]:
    """Return nodes and weights of Gauss and Legendre on (-1, 1); finding them takes longest."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


class _Walk:
    """The distribution of the test statistic over the looks, where no bound was crossed yet.

    The sum that grows with the information has independent normal steps; its density at the next
    look is an integral over the present one (Armitage, McPherson and Rowe 1969).
    """

    def __init__(self) -> None:
        self.known = True
        self._information = 0.0
        self._points: NDArray[float64] | None = None
        self._weights: NDArray[float64] | None = None

    def step(self, information: float, share: float) -> float:
        """Go to the next look and return its level, at which a `share` crosses for the first time.

        Only ratios of the information matter, and each is at least 1 + `_LEAST_GAIN`.
        """
        import numpy as np
        from scipy.optimize import brentq
        from scipy.special import ndtr

        before, information = (
            self._information,
            max(information, self._information * (1 + _LEAST_GAIN)),
        )
        self._information = information
        scale = math.sqrt(information)
        points = np.zeros(1) if self._points is None else self._points
        weights = np.ones(1) if self._weights is None else self._weights
        spread = math.sqrt(information - before)

        def crossing(bound: float) -> float:
            return float(weights @ ndtr((points - bound * scale) / spread))

        low, high = -_FARTHEST, _FARTHEST
        if share >= crossing(low):
            bound = low
        elif share <= crossing(high):
            bound = high
        else:
            bound = brentq(lambda at: crossing(at) - share, low, high, xtol=1e-9)
        nodes, node_weights = _quadrature()
        start, end = -_FARTHEST * scale, bound * scale
        reached = start + (nodes + 1) / 2 * (end - start)
        steps = (reached[:, None] - points[None, :]) / spread
        density = np.exp(-(steps**2) / 2) @ weights / (spread * math.sqrt(2 * math.pi))
        self._points = reached
        self._weights = density * node_weights / 2 * (end - start)
        return float(ndtr(-bound))
