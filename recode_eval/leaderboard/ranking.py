"""Ranks that claim no more than the data: models that cannot be told apart share them.

Every pair is compared by its paired difference per problem, clustered (`statistics.cluster_mean`);
the p-values of a board go through Holm's procedure (Holm 1979). A model's rank is one more than
the number of models that are significantly better; its worst possible rank is the number of models
that are not significantly worse.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.statistics import Estimate, IntervalMethod, cluster_mean

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

ALPHA = 0.05
_BOUNDS = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Rank:
    """The best and the worst rank that the data leave possible, from 1."""

    best: int
    worst: int

    @property
    def tied(self) -> bool:
        """Whether another model may have the same rank."""
        return self.best != self.worst

    def __str__(self) -> str:
        return f"{self.best}-{self.worst}" if self.tied else str(self.best)


def p_value(difference: Estimate) -> float:
    """Return the two-sided p-value of a paired difference being zero.

    Student's t with G-1 degrees of freedom. Where every problem differs by the whole range, it is
    the sign test on clusters. 1 where the data cannot tell.
    """
    if difference.mean is None:
        return 1.0
    if difference.method is IntervalMethod.CLOPPER_PEARSON:
        return float(2 * 0.5**difference.clusters)
    if difference.standard_error is None:
        return 1.0
    from scipy.special import stdtr

    t = abs(difference.mean) / difference.standard_error
    return float(2 * stdtr(difference.clusters - 1, -t))


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Return which hypotheses Holm's step-down procedure rejects, in the given order."""
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for step, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected


def compare(
    a: Mapping[str, float | None], b: Mapping[str, float | None], clusters: Mapping[str, Hashable]
) -> Estimate:
    """Return the mean of `a - b` over the problems in which both have a value, in [-1, 1]."""
    pairs = [(a.get(key), b.get(key)) for key in clusters]
    values = [None if x is None or y is None else x - y for x, y in pairs]
    return cluster_mean(values, list(clusters.values()), bounds=_BOUNDS)


def ranks(
    scores: Sequence[Mapping[str, float | None]],
    clusters: Mapping[str, Hashable],
    alpha: float = ALPHA,
) -> list[Rank]:
    """Return the rank of each model from its scores per problem (each in [0, 1], None: unscored).

    `clusters` names the problems and the cluster of each.
    """
    pairs = list(itertools.combinations(range(len(scores)), 2))
    differences = [compare(scores[i], scores[j], clusters) for i, j in pairs]
    better, worse = [0] * len(scores), [0] * len(scores)
    significant = holm([p_value(difference) for difference in differences], alpha)
    for (i, j), difference, real in zip(pairs, differences, significant, strict=True):
        if real and difference.mean:
            winner, loser = (i, j) if difference.mean > 0 else (j, i)
            better[loser] += 1
            worse[winner] += 1
    return [Rank(1 + b, len(scores) - w) for b, w in zip(better, worse, strict=True)]
