"""How well a score ranks what is right above what is wrong: AUC and rank correlations.

Over all answers, and within the answers to one problem, which is what a reward does where several
samples of one prompt are compared (GRPO). Intervals count clusters of problems.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from recode_eval.stats.estimates import Estimate, IntervalMethod, cluster_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

_RESAMPLES = 2_000


class Scored(NamedTuple):
    """A score of an answer, and whether the answer passes."""

    score: float
    passed: bool
    pair: Hashable
    cluster: Hashable


def auc(scores: Sequence[float], passed: Sequence[bool]) -> float | None:
    """Return the chance that something right has a higher score than something wrong; ties 1/2.

    The statistic of Mann and Whitney divided by the number of comparisons. None without any.
    """
    right = np.asarray(passed, dtype=bool)
    ones, zeros = int(right.sum()), int((~right).sum())
    if not ones or not zeros:
        return None
    ranks = stats.rankdata(np.asarray(scores, dtype=float))  # ties share their mean rank
    return float((ranks[right].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def spearman(scores: Sequence[float], passed: Sequence[bool]) -> float | None:
    """Return Spearman's rank correlation; 0 for equal scores, None for equal outcomes."""
    return _correlation(stats.spearmanr, scores, passed)


def kendall(scores: Sequence[float], passed: Sequence[bool]) -> float | None:
    """Return Kendall's tau-b; 0 for equal scores, None for equal outcomes."""
    return _correlation(stats.kendalltau, scores, passed)


def _correlation(
    function: Callable[..., object], scores: Sequence[float], passed: Sequence[bool]
) -> float | None:
    if len(set(passed)) < 2:
        return None
    if len(set(scores)) < 2:
        # Such a score ranks nothing, so its correlation is zero, not unknown.
        return 0.0
    result: float = function(scores, passed).statistic  # type: ignore[attr-defined]
    return float(result)


def best_passes(scores: Sequence[float], passed: Sequence[bool]) -> float | None:
    """Return the chance that the answer with the highest score passes; among equals, any of them.

    None for equal outcomes, where there is nothing to choose.
    """
    if len(set(passed)) < 2:
        return None
    highest = max(scores)
    best = [good for score, good in zip(scores, passed, strict=True) if score == highest]
    return sum(best) / len(best)


def any_passes(scores: Sequence[float], passed: Sequence[bool]) -> float | None:
    """Return the chance that an answer drawn blindly passes; None for equal outcomes."""
    return best_passes([0.0] * len(scores), passed)


def pooled_auc(
    answers: Sequence[Scored], *, resamples: int = _RESAMPLES, seed: int = 0
) -> Estimate:
    """Return the AUC over all answers, with a 95 % percentile interval by drawing whole clusters.

    A resample in which everything passes or nothing has no AUC and does not count.
    """
    value = auc([a.score for a in answers], [a.passed for a in answers])
    names = sorted({answer.cluster for answer in answers}, key=str)

    def estimate(
        method: IntervalMethod, low: float | None, high: float | None, error: float | None
    ) -> Estimate:
        return Estimate(value, low, high, error, len(answers), len(names), method)

    if value is None:
        return estimate(IntervalMethod.NO_VALUES, None, None, None)
    if len(names) == 1:
        return estimate(IntervalMethod.ONE_CLUSTER, None, None, None)
    wins, right, wrong = _won(answers, {name: place for place, name in enumerate(names)})
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    compared = (drawn @ right) * (drawn @ wrong)
    won = ((drawn @ wins) * drawn).sum(axis=1)
    values = won[compared > 0] / compared[compared > 0]
    if not len(values) or math.isclose(values.min(), values.max()):
        return estimate(IntervalMethod.NO_SPREAD, None, None, None)
    low, high = np.quantile(values, [0.025, 0.975])
    error = float(np.std(values, ddof=1))
    return estimate(IntervalMethod.CLUSTER_BOOTSTRAP, float(low), float(high), error)


def _won(
    answers: Sequence[Scored], places: dict[Hashable, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, by clusters, the comparisons that right answers win, and how many are right, wrong.

    `wins[a, b]` counts right answers of cluster a above wrong ones of cluster b, ties as 1/2, so
    the AUC of any resample is a quadratic form of how often each cluster was drawn.
    """
    scores = np.array([answer.score for answer in answers])
    right = np.array([answer.passed for answer in answers])
    member = np.zeros((len(answers), len(places)))
    member[np.arange(len(answers)), [places[answer.cluster] for answer in answers]] = 1
    above = scores[right][:, None] - scores[~right][None, :]
    won = (above > 0) + 0.5 * (above == 0)
    return member[right].T @ won @ member[~right], member[right].sum(0), member[~right].sum(0)


def within_pairs(
    answers: Sequence[Scored],
    measure: Callable[[Sequence[float], Sequence[bool]], float | None],
    bounds: tuple[float, float],
) -> Estimate:
    """Return the mean over pairs of a measure among a pair's own answers.

    Pairs whose answers all pass or all fail have none; they are counted as excluded.
    """
    groups: dict[Hashable, list[Scored]] = {}
    for answer in answers:
        groups.setdefault(answer.pair, []).append(answer)
    values = [measure([a.score for a in g], [a.passed for a in g]) for g in groups.values()]
    clusters = [group[0].cluster for group in groups.values()]
    # Rounding may put a perfect correlation beyond 1.
    clipped = [v if v is None else min(max(v, bounds[0]), bounds[1]) for v in values]
    return cluster_mean(clipped, clusters, bounds=bounds)
