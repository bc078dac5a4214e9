"""How many problems and samples a gate needs: the chances of its verdicts before anything is drawn.

The variance of a mean paired difference has two parts (Miller 2024, arXiv 2411.00640, section 3).
One is sampling noise, which more samples per problem reduce. The other is how far the problems'
true pass rates move from one checkpoint to an equally good one, which only more problems average
out. Chances follow from the noncentral t distribution; where few clusters are expected to carry the
change, from the exact bound of `stats.sparse`. Values are shares of 1, as a metric's are.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from recode_eval.stats.sparse import chance_below_zero, most_changed, smallest_decidable
from recode_eval.stats.trainings import sum_degrees

if TYPE_CHECKING:
    from collections.abc import Callable

FLIP: Final = 0.8
"""How far a problem's pass rate moves when a checkpoint solves or unsolves it, in the simulated
checkpoints of docs/ci.md."""
CHURN: Final = 0.27
NOISE: Final = 0.51
"""Those checkpoints' variance of true changes, and of one sample's verdict within a problem, over
rate * (1 - rate)."""
DECENT: Final = 0.7
"""An equally good model should pass at least so often."""
TARGET: Final = 0.8
MOST_SAMPLES: Final = 20_000
"""Where a search for samples, problems or seeds ends."""
_GRID: Final = 64
_CELLS: Final = 150_000
_TINY: Final = 1e-300
_EXACT: Final = 1e-4
"""How exact a margin is: a hundredth of a point."""


@dataclass(frozen=True, slots=True)
class Design:
    """The problems of a task, and how they fall into clusters.

    >>> arena_mini = Design((2,) * 48)
    >>> arena_mini.problems, arena_mini.clusters, arena_mini.effective
    (96, 48, 48.0)
    """

    sizes: tuple[int, ...]
    """Problems of each cluster."""

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError("at least two clusters are needed, each with a problem")

    @classmethod
    def even(cls, problems: int, clusters: int) -> Design:
        """Return the design whose clusters are as equal as they can be; raises `ValueError`."""
        if not 2 <= clusters <= problems:
            raise ValueError("clusters: at least 2, and not more than problems")
        small, larger = divmod(problems, clusters)
        return cls((small + 1,) * larger + (small,) * (clusters - larger))

    @property
    def problems(self) -> int:
        """Problems of all clusters."""
        return sum(self.sizes)

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return len(self.sizes)

    @property
    def squares(self) -> int:
        """Sum of the squared sizes."""
        return sum(size * size for size in self.sizes)

    @property
    def effective(self) -> float:
        """The number of equal clusters that say as much: problems^2 / `squares`."""
        return self.problems**2 / self.squares

    def resized(self, clusters: int) -> Design:
        """Return a design with so many clusters (at least 2) of the same sizes, in turn."""
        repeated = self.sizes * (clusters // len(self.sizes) + 1)
        return Design(repeated[: max(2, clusters)])


@dataclass(frozen=True, slots=True)
class Variation:
    """Two variances per problem, and how much of the second problems of one cluster share.

    >>> Variation.assumed(0.5)
    Variation(noise=0.1275, change=0.0675, together=0.0)
    """

    noise: float
    """Of one sample's verdict around its problem's pass rate."""
    change: float
    """Of the true change of a problem's pass rate between equally good checkpoints."""
    together: float = 0.0
    """Correlation of the true changes within a cluster, 0 to 1."""

    @classmethod
    def assumed(cls, rate: float) -> Variation:
        """Return the variation of the simulated checkpoints at a mean pass rate in (0, 1)."""
        if not 0 < rate < 1:
            raise ValueError("the rate must lie between 0 and 1")
        return cls(NOISE * rate * (1 - rate), CHURN * rate * (1 - rate))

    def sampling(self, n: float, baseline_n: float | None = None) -> float:
        """Return a problem's variance by sampling; `n` samples of each side unless told."""
        return self.noise * (1 / n + 1 / (n if baseline_n is None else baseline_n))


@dataclass(frozen=True, slots=True)
class Rule:
    """What a gate asks for: the tolerated drop and the one-sided level."""

    margin: float
    alpha: float = 0.05
    reach: float = 1.0
    """Length of the metric's range."""


def standard_error(
    design: Design, variation: Variation, n: float, baseline_n: float | None = None
) -> float:
    """Return the standard error of the mean difference; `n` may be `math.inf`.

    >>> round(standard_error(Design.even(670, 161), Variation.assumed(0.564), 10), 4)
    0.0117
    """
    own = variation.sampling(n, baseline_n) + variation.change * (1 - variation.together)
    shared = variation.change * variation.together * design.squares / design.problems
    return math.sqrt((own + shared) / design.problems)


def pass_chance(
    design: Design,
    variation: Variation,
    rule: Rule,
    n: float,
    *,
    drop: float = 0.0,
    baseline_n: float | None = None,
) -> float:
    """Return the chance, 0 to 1, that a model passes whose true drop is `drop`.

    >>> arena, model = Design.even(670, 161), Variation.assumed(0.564)
    >>> [round(pass_chance(arena, model, Rule(margin), 10), 1) for margin in (0.015, 0.03, 0.05)]
    [0.1, 0.8, 1.0]
    """
    error = standard_error(design, variation, n, baseline_n)
    if error == 0:
        return float(smallest_decidable(design.clusters, rule.alpha, rule.reach) < rule.margin)
    by_t = _by_t((rule.margin - drop) / error, design.effective - 1, rule.alpha)
    too_few = smallest_decidable(design.clusters, rule.alpha, rule.reach) >= rule.margin
    counted = 1.0 if too_few else _sparse_chance(design, variation, n, baseline_n)
    if counted < 0.01:
        return by_t
    by_count = min(by_t, _by_count(design, rule, error, drop))
    return (1 - counted) * by_t + counted * by_count


def regress_chance(
    design: Design,
    variation: Variation,
    rule: Rule,
    n: float,
    *,
    drop: float,
    baseline_n: float | None = None,
) -> float:
    """Return the chance, 0 to 1, that a true `drop` is called a regression.

    The interval must lie below 0 and reach the margin: `pass` comes first.
    """
    error = standard_error(design, variation, n, baseline_n)
    if error == 0:
        return float(drop >= rule.margin)
    found = _by_t(drop / error, design.effective - 1, rule.alpha)
    passed = _by_t((rule.margin - drop) / error, design.effective - 1, rule.alpha)
    return max(0.0, min(found, 1 - passed))


def margin_for(
    design: Design, variation: Variation, rule: Rule, n: float, chance: float = TARGET
) -> float:
    """Return the smallest margin with which an equally good model passes with `chance`.

    It is in the unit of `rule.reach`, exact to 1e-4, and at most the rule's own margin where that
    is enough. The whole reach, where no margin is.

    >>> round(margin_for(Design.even(96, 48), Variation.assumed(0.005), Rule(0.09), 10), 3)
    0.061
    """

    def enough(margin: float) -> bool:
        return pass_chance(design, variation, replace(rule, margin=margin), n) >= chance

    low, high = 0.0, rule.margin
    while not enough(high):
        if high >= rule.reach:
            return rule.reach
        low, high = high, min(rule.reach, 2 * high)
    while high - low > _EXACT:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def samples_for(
    design: Design, variation: Variation, rule: Rule, chance: float = TARGET, least: int = 2
) -> int | None:
    """Return the fewest samples per problem (from `least`) that reach `chance`.

    None where no number up to `MOST_SAMPLES` does. What any number reaches is no bound: without all
    noise fewer clusters carry the change, and the exact bound is harder to meet.
    """
    return _smallest(lambda n: pass_chance(design, variation, rule, n) >= chance, least)


def problems_for(
    design: Design, variation: Variation, rule: Rule, n: float, chance: float = TARGET
) -> int | None:
    """Return the fewest problems, in clusters as large as now, that reach `chance`."""
    from scipy.special import ndtri

    # Not even with the normal distribution do fewer suffice: the search begins there.
    wanted = rule.margin / float(ndtri(1 - rule.alpha) + ndtri(chance))
    least = design.clusters * (standard_error(design, variation, n) / wanted) ** 2
    found = _smallest(
        lambda count: pass_chance(design.resized(count), variation, rule, n) >= chance,
        max(2, int(0.9 * least)),
    )
    return None if found is None else design.resized(found).problems


def enough_samples(design: Design, variation: Variation, share: float = 0.1) -> int | None:
    """Return the samples per problem at which sampling is only a `share` of the variance.

    More hardly narrow the interval: the rest is the problems'. None where the problems do not vary.
    """
    limit = standard_error(design, variation, math.inf) ** 2 * design.problems
    if not limit:
        return None
    return max(1, math.ceil(2 * variation.noise * (1 - share) / (share * limit)))


def seed_power(
    error: float,
    clusters: float,
    seed_sd: float,
    seeds: int,
    difference: float,
    alpha: float = 0.05,
) -> float:
    """Return the chance that two methods with `seeds` trainings each are told apart.

    `error` is the standard error by problems, `seed_sd` the standard deviation of a method's metric
    between its trainings. The variances add, with Satterthwaite's (1946) degrees of freedom, and
    the test is two-sided. One seed allows no test: 0.

    >>> [round(seed_power(0.01, 161, 0.02, seeds, 0.05), 2) for seeds in (1, 3, 10)]
    [0.0, 0.62, 0.96]
    """
    if seeds < 2:
        return 0.0
    by_seed = seed_sd**2 / seeds
    parts = [(error**2, clusters - 1), *[(by_seed, seeds - 1)] * 2]
    variance = math.fsum(part for part, _ in parts)
    if not variance:
        return float(difference > 0)
    degrees = sum_degrees(parts, variance)
    return _by_t(difference / math.sqrt(variance), degrees, alpha / 2)


def seeds_for(
    error: float, clusters: float, seed_sd: float, difference: float, chance: float = TARGET
) -> int | None:
    """Return how many seeds per method find a true `difference` with `chance`; None: no number."""
    if seed_power(error, clusters, 0.0, 2, difference) < chance:
        return None
    return _smallest(
        lambda seeds: seed_power(error, clusters, seed_sd, seeds, difference) >= chance, 2
    )


def _smallest(enough: Callable[[int], bool], least: int) -> int | None:
    """Return the smallest number from `least` that is enough, if more is never worse."""
    low = high = least
    while high > MOST_SAMPLES or not enough(high):
        if high > MOST_SAMPLES:
            return None
        low, high = high + 1, high + max(1, high // 4)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def _by_t(away: float, degrees: float, level: float) -> float:
    """Return P(T > t) for noncentral t: how often an effect of `away` errors is significant."""
    from scipy.special import nctdtr, ndtr, stdtrit

    degrees = max(1.0, degrees)
    at = float(stdtrit(degrees, 1 - level))
    if away > 30:
        return 1.0
    found = 1 - float(nctdtr(degrees, away, at))
    return found if math.isfinite(found) else float(ndtr(away - at))


def _by_count(design: Design, rule: Rule, error: float, drop: float) -> float:
    """Return the chance to pass by the exact bound, if the clusters' changes are about normal."""
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    spread = ndtri((np.arange(_GRID) + 0.5) / _GRID) * error * math.sqrt(design.clusters)
    counts = [design.clusters / _GRID] * _GRID + [1.0]
    unseen = rule.margin - rule.reach

    def missing(mean: float) -> float:
        weights = [*(spread + mean + rule.margin).tolist(), unseen]
        return chance_below_zero(weights, counts) - rule.alpha

    low, high = -rule.margin, rule.reach
    if missing(high) > 0:
        return 0.0
    return float(ndtr((-drop - brentq(missing, low, high, xtol=1e-4)) / error))


@functools.lru_cache(maxsize=256)
def _sparse_chance(
    design: Design, variation: Variation, n: float, baseline_n: float | None
) -> float:
    """Return how often too few clusters carry the change (`sparse.is_sparse`).

    By clusters drawn with a fixed seed: a problem flips with the chance that gives
    `variation.change`, and has noise.
    """
    import numpy as np

    draws = max(100, min(1_000, _CELLS // design.problems))
    rng = np.random.default_rng(0)
    shape = (draws, design.problems)
    chance = min(1.0, variation.change / FLIP**2)
    changes = rng.normal(0, math.sqrt(variation.sampling(n, baseline_n)), shape)
    changes += FLIP * (rng.random(shape) < chance) * rng.choice([-1.0, 1.0], size=shape)
    starts = np.cumsum([0, *design.sizes[:-1]])
    squares = np.add.reduceat(changes, starts, axis=1) ** 2
    carried = squares.sum(axis=1) ** 2 / np.maximum((squares**2).sum(axis=1), _TINY)
    return float((carried < most_changed(design.clusters)).mean())
