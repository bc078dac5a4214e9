"""Two models on the same problems: paired, clustered differences per metric (docs/ci.md).

The unit is the problem: what the candidate has of a metric minus what the baseline has. Problems of
one update move together, so error and tests count clusters. The t-test on the clustered difference
is the primary one; the sign-flip test is a second opinion. The sign convention everywhere:
candidate minus baseline, whether more is better (pass@1) or worse (no_code).

Each task has one primary metric, declared in the registry (`metrics.primary`) before anything is
measured. The primary metrics of all tasks and candidates are one family of tests; all other metrics
are exploratory, a family of their own.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.comparability import mismatches, remarks
from recode_eval.comparison.costs import cost_cautions
from recode_eval.comparison.coverage import coverage_notes
from recode_eval.comparison.headline import headline
from recode_eval.comparison.pairing import paired
from recode_eval.comparison.problems import ProblemChanges, problem_changes
from recode_eval.comparison.sentences import sentence
from recode_eval.documentation.arms import arm_of
from recode_eval.metrics import metric as metric_of
from recode_eval.metrics import primary_of
from recode_eval.stats.estimates import IntervalMethod, cluster_t, minimum_detectable_difference
from recode_eval.stats.variance import NEW_SAMPLES, PROBLEMS_LIKE_THESE, new_samples, shares

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Sequence

    from recode_eval.comparison.pairing import Pairs
    from recode_eval.run.results_file import ResultsFile
    from recode_eval.stats.estimates import Bounds, Estimate
    from recode_eval.stats.variance import NewSamples, Shares

_SIGN_FLIPS = 9_999
_FLIPS_AT_A_TIME = 500
_SUM_DIGITS = 12
"""Decimals of a sum of shares; differences beyond them are rounding."""


class MetricFamily(StrEnum):
    """What a metric's p-value is adjusted with."""

    PRIMARY = "primary"
    EXPLORATORY = "exploratory"


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One metric of two runs, in the metric's own unit (shares, not percent)."""

    metric: str
    baseline: float
    candidate: float
    """Means over the problems that both runs have a value of."""
    estimate: Estimate
    """Candidate minus baseline with its clustered interval."""
    confidence: float
    p_value: float | None
    """Two-sided, by clusters; None without an interval."""
    p_sign_flip: float | None
    """Two-sided: the signs of whole clusters flipped at random."""
    detectable: float | None
    """The true difference that a two-sided 5 % test would find with 80 % power."""
    p_holm: float | None = None
    """`p_value` adjusted for all of its family."""
    family: MetricFamily | None = None
    samples: tuple[int, ...] = ()
    """Samples per problem of baseline and candidate."""
    new_samples: NewSamples | None = None
    """The interval if the same problems were asked again; None where samples cannot tell."""
    shares: Shares | None = None
    """Where the variance of the difference comes from; None where samples cannot tell."""

    @property
    def higher_is_better(self) -> bool:
        """Whether more of the metric is better."""
        return metric_of(self.metric).higher_is_better


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of one task with all that differs."""

    baseline: ResultsFile
    candidate: ResultsFile
    differences: tuple[MetricDifference, ...]
    changes: ProblemChanges
    cautions: tuple[str, ...]
    """Why the difference may not be the models' alone, and which metrics are not compared, or not
    over all problems."""

    @property
    def names(self) -> tuple[str, str]:
        """What to call baseline and candidate, so that they can be told apart; hostile text."""
        one, two = self.baseline.model, self.candidate.model
        if one != two:
            return one, two
        arms = arm_of(self.baseline.results), arm_of(self.candidate.results)
        roles = arms if arms[0] != arms[1] else ("baseline", "candidate")
        return f"{one} ({roles[0]})", f"{two} ({roles[1]})"


def difference(
    metric: str,
    baseline: Sequence[float],
    candidate: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    bounds: Bounds = (0.0, 1.0),
    confidence: float = 0.95,
) -> MetricDifference | None:
    """Compare two models' values problem by problem; None if no problem has both.

    `bounds` is the metric's own range. Raises `ValueError` for unequal lengths and values that are
    no finite numbers or outside of the range.
    """
    if not baseline:
        return None
    changes = [new - old for old, new in zip(baseline, candidate, strict=True)]
    estimate = change(changes, clusters, bounds=bounds, confidence=confidence)
    error = estimate.standard_error
    return MetricDifference(
        metric,
        math.fsum(baseline) / len(baseline),
        math.fsum(candidate) / len(candidate),
        estimate,
        confidence,
        two_sided_p(estimate),
        sign_flip_p(changes, clusters),
        minimum_detectable_difference(error, clusters=estimate.effective_clusters)
        if error
        else None,
    )


def change(
    changes: Sequence[float], clusters: Sequence[Hashable], *, bounds: Bounds, confidence: float
) -> Estimate:
    """Return the mean change with its clustered interval; `bounds` is the range of the metric.

    Clusters that all changed alike are no proof that every cluster does: Student's t would claim
    certainty. The interval then leaves room for the clusters that were not seen: their share is at
    most the Clopper-Pearson bound for 0 of G, and they may have changed as far as the range goes,
    either way. For no change, and for a change of the whole range, that is the exact interval.
    """
    reach = bounds[1] - bounds[0]
    estimate = cluster_t(changes, clusters, confidence, bounds=(-reach, reach))
    if estimate.method is IntervalMethod.ALL_EQUAL:  # every change is of the whole range
        return replace(estimate, reach=reach)
    if estimate.method is not IntervalMethod.NO_SPREAD or estimate.mean is None:
        return estimate
    same = not any(changes)
    unseen = 1 - ((1 - confidence) / 2) ** (1 / estimate.clusters)
    return replace(
        estimate,
        low=estimate.mean - unseen * (reach + estimate.mean),
        high=estimate.mean + unseen * (reach - estimate.mean),
        standard_error=None,
        method=IntervalMethod.NO_CHANGE if same else IntervalMethod.EQUAL_CHANGE,
        reach=reach,
    )


def lower_tail_p(estimate: Estimate) -> float | None:
    """Return the one-sided p-value of 'there is no drop', in agreement with the interval.

    Student's t with the degrees of freedom of the interval. Where every cluster changed alike, it
    is the largest chance that G clusters do so by luck; see `_luck`. None where there is no
    interval.
    """
    from scipy.special import stdtr

    if estimate.mean is None or estimate.low is None:
        return None
    if estimate.reach is not None:
        luck = _luck(estimate.mean, estimate.reach, estimate.clusters)
        return luck if estimate.mean <= 0 else 1 - luck
    assert estimate.standard_error is not None
    assert estimate.effective_clusters is not None
    return float(stdtr(estimate.effective_clusters - 1, estimate.mean / estimate.standard_error))


def two_sided_p(estimate: Estimate) -> float | None:
    """Return the two-sided p-value of 'there is no difference'; see `lower_tail_p`."""
    from scipy.special import stdtr

    if estimate.mean is None or estimate.low is None:
        return None
    if estimate.reach is not None:
        return min(1.0, 2 * _luck(estimate.mean, estimate.reach, estimate.clusters))
    assert estimate.standard_error is not None
    assert estimate.effective_clusters is not None
    # Twice the lower tail of -|t|: 1 - p would lose the digits of a large difference.
    distance = abs(estimate.mean) / estimate.standard_error
    return 2 * float(stdtr(estimate.effective_clusters - 1, -distance))


def _luck(mean: float, reach: float, clusters: int) -> float:
    """Return the largest chance that all clusters change by `mean` if the true mean is 0.

    The mean of 0 needs clusters that change the other way. The fewest do if they change by the
    whole `reach`: a share of |mean| / (reach + |mean|), of which none was drawn.
    """
    return float((reach / (reach + abs(mean))) ** clusters)


def sign_flip_p(
    changes: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> float | None:
    """Return the two-sided p-value of a sign-flip (permutation) test on the clusters' sums.

    Needs no normal mean: if the models were alike, each cluster could as well have changed the
    other way. Exact up to 13 clusters, else 9,999 random flips with this `seed`. None for fewer
    than two clusters.
    """
    import numpy as np
    from scipy.stats import permutation_test

    sums: dict[Hashable, float] = {}
    for value, cluster in zip(changes, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value
    if len(sums) < 2:
        return None
    totals = np.array(list(sums.values()))
    # Equal sums must be equal whatever the order of adding: ties decide for few clusters.
    result = permutation_test(
        (totals, np.zeros_like(totals)),
        lambda x, y, axis: np.round(np.sum(x - y, axis=axis), _SUM_DIGITS),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_SIGN_FLIPS,
        batch=_FLIPS_AT_A_TIME,
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values (Holm 1979): below alpha is rejected at family level alpha.

    None stays None and does not count as a test.
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = highest
    return adjusted


def run_differences(
    a: ResultsFile, b: ResultsFile, metrics: Iterable[str] | None = None, confidence: float = 0.95
) -> list[MetricDifference]:
    """Return the differences of all metrics (or of those named) that both runs have."""
    names = [name for name in a.metrics if name in b.metrics]
    if metrics is not None:
        names = [name for name in metrics if name in names]
    found = (metric_difference(a, b, name, confidence) for name in names)
    return [item for item in found if item is not None]


def metric_difference(
    a: ResultsFile, b: ResultsFile, metric: str, confidence: float
) -> MetricDifference | None:
    """Return one metric's difference; None if no problem has it in both runs."""
    if metric not in a.metrics:
        return None
    pairs, bounds = paired(a, b, metric), a.metrics[metric].bounds
    found = difference(
        metric,
        pairs.baseline,
        pairs.candidate,
        pairs.clusters,
        bounds=bounds,
        confidence=confidence,
    )
    return None if found is None else _with_samples(found, a, b, pairs, bounds)


def _with_samples(
    found: MetricDifference, a: ResultsFile, b: ResultsFile, pairs: Pairs, bounds: Bounds
) -> MetricDifference:
    """Add what the samples alone say, where they say anything."""
    found = replace(found, samples=(a.n, b.n))
    known, variances, graded = metric_of(found.metric), [], [0, 0]
    for key in pairs.ids:
        sides = a.scores[key], b.scores[key]
        parts = [known.sampling_variance(side) for side in sides]
        if None in parts:
            return found
        variances.append(math.fsum(part for part in parts if part is not None))
        graded = [count + side.n for count, side in zip(graded, sides, strict=True)]
    mean = found.estimate.mean
    assert mean is not None
    changes = [new - old for old, new in zip(pairs.baseline, pairs.candidate, strict=True)]
    return replace(
        found,
        new_samples=new_samples(
            mean, variances, min(graded), found.confidence, bounds, difference=True
        ),
        shares=shares(changes, pairs.clusters, variances, found.estimate.standard_error),
    )


def standard_error(a: ResultsFile, b: ResultsFile, metric: str) -> float | None:
    """Return the clustered standard error of a metric's difference; None or 0 without a spread."""
    if metric not in a.metrics:
        return None
    pairs = paired(a, b, metric)
    if not pairs.ids:
        return None
    changes = [new - old for old, new in zip(pairs.baseline, pairs.candidate, strict=True)]
    bounds = a.metrics[metric].bounds
    return change(changes, pairs.clusters, bounds=bounds, confidence=0.95).standard_error


def compare(
    pairs: Sequence[tuple[ResultsFile, ResultsFile]],
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
    cautions: Sequence[Sequence[str]] | None = None,
    expected: Collection[str] = (),
    *,
    asked: bool = True,
) -> list[Comparison]:
    """Compare pairs of runs (baseline first); Holm's correction goes over each family of metrics.

    The primary metric of each pair comes first. A metric that is named twice is one test.
    `cautions` are what `pair_runs` says of each pair; differences in the fields `expected`
    (`comparability.RULES`) are what the comparison is about, and no caution. `asked`: the user
    named the metrics, and is told of those that neither run has.
    """
    if metrics is not None:
        metrics = tuple(dict.fromkeys(metrics))
    groups = _adjusted([run_differences(a, b, metrics, confidence) for a, b in pairs])
    return [
        Comparison(
            a,
            b,
            tuple(group),
            problem_changes(a, b),
            (
                *said,
                *(item.text for item in mismatches(a, b) if item.what not in expected),
                *remarks(a, b),
                *coverage_notes(a, b, metrics, asked=asked),
                *cost_cautions(a, b),
            ),
        )
        for (a, b), group, said in zip(pairs, groups, cautions or [()] * len(pairs), strict=True)
    ]


def _adjusted(groups: Sequence[Sequence[MetricDifference]]) -> list[list[MetricDifference]]:
    """Return the differences with family and adjusted p-value, the primary metric first."""
    named = []
    for group in groups:
        first = primary_of({item.metric: item for item in group})
        families = [
            MetricFamily.PRIMARY if item.metric == first else MetricFamily.EXPLORATORY
            for item in group
        ]
        with_family = [
            replace(item, family=family) for item, family in zip(group, families, strict=True)
        ]
        named.append(sorted(with_family, key=lambda x: x.family is not MetricFamily.PRIMARY))
    p_values = {
        family: iter(holm([x.p_value for group in named for x in group if x.family is family]))
        for family in MetricFamily
    }
    return [
        [replace(x, p_holm=next(p_values[x.family])) for x in group if x.family] for group in named
    ]


def difference_json(item: MetricDifference) -> dict[str, Any]:
    """Return the JSON form of a difference."""
    estimate = item.estimate
    return {
        "metric": item.metric,
        "higher_is_better": item.higher_is_better,
        "baseline": item.baseline,
        "candidate": item.candidate,
        "headline": str(headline(item)),
        "difference": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "confidence": item.confidence,
        "method": str(estimate.method),
        "standard_error": estimate.standard_error,
        "p_value": item.p_value,
        "p_holm": item.p_holm,
        "p_sign_flip": item.p_sign_flip,
        "minimum_detectable_difference": item.detectable,
        "problems": estimate.n,
        "clusters": estimate.clusters,
        "estimand": PROBLEMS_LIKE_THESE,
        "new_samples": item.new_samples and {"estimand": NEW_SAMPLES, **asdict(item.new_samples)},
        "variance_shares": None if item.shares is None else asdict(item.shares),
    }


def compared_json(
    item: MetricDifference, baseline: str, candidate: str, task: str
) -> dict[str, Any]:
    """Return the JSON form of a difference among all that were compared; models by name."""
    return {
        **difference_json(item),
        "family": item.family,
        "sentence": sentence(item, baseline, candidate, task),
    }
