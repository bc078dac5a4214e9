"""Runs as evidence for a view: their values per problem, several seeds as one, paired differences.

Seeds of one method are pooled by the mean per problem: a second seed makes a value more exact, it
is no second problem. So intervals count problems (in clusters), and how far the seeds lie apart is
shown beside them. Estimates and tests are those of `statistics` and `comparison`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval.comparison.comparability import mismatches
from recode_eval.comparison.differences import change, holm, two_sided_p
from recode_eval.errors import UsageError
from recode_eval.metrics import METHODS, TaskKind, primary
from recode_eval.metrics import metric as metric_of
from recode_eval.run.results import metric_values
from recode_eval.run.results_file import ResultsFile
from recode_eval.schemas.results import SIMILARITY_FIELDS
from recode_eval.stats.estimates import cluster_mean, minimum_detectable_difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.schemas.results import ProblemResult
    from recode_eval.stats.estimates import Bounds

ALPHA = 0.05
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Evidence:
    """Values per problem and metric, of one run or of several pooled; None is unscored."""

    values: Mapping[str, Mapping[str, float | None]]
    bounds: Mapping[str, Bounds]
    clusters: Mapping[str, str]

    def estimate(self, metric: str) -> dict[str, Any] | None:
        """Return the mean with its interval, as results have it; None without values."""
        values = self.values.get(metric, {})
        if all(value is None for value in values.values()):
            return None
        clusters = [self.clusters[key] for key in values]
        found = cluster_mean(
            list(values.values()), clusters, CONFIDENCE, bounds=self.bounds[metric]
        )
        return {
            "value": found.mean,
            "low": found.low,
            "high": found.high,
            "problems": found.n,
            "method": str(found.method),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """A paired difference in the metric's own unit (shares, not percent)."""

    value: float
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, by clusters; None where the data allow no test."""
    detectable: float | None
    """The true difference that a two-sided 5 % test would find with 80 % power."""
    problems: int
    p_holm: float | None = None
    """`p` adjusted for all of its family (`adjusted`)."""

    @property
    def verdict(self) -> str:
        """`up`, `down` or `same` (not distinguishable) by the adjusted p-value; `none`: no test."""
        if self.p_holm is None:
            return "none"
        if self.p_holm >= ALPHA:
            return "same"
        return "up" if self.value > 0 else "down"


def evidence(problems: Sequence[ProblemResult], metrics: Iterable[str] | None = None) -> Evidence:
    """Return a run's values from the problems of its results.

    `metrics` are those wanted; None: what ways of training are compared by, and what ranks.
    """
    ranking = (primary(kind) for kind in TaskKind)
    metrics = list(dict.fromkeys((*METHODS, *ranking) if metrics is None else metrics))
    ks = {k for name in metrics if (k := metric_of(name).k) is not None}
    found = metric_values(problems, ks | {1})
    ids = [problem.id for problem in problems]
    chosen = {name: found[name] for name in metrics if name in found}
    return Evidence(
        {name: dict(zip(ids, item.values, strict=True)) for name, item in chosen.items()},
        {name: item.bounds for name, item in chosen.items()},
        {problem.id: problem.cluster for problem in problems},
    )


def pooled(members: Sequence[Evidence]) -> Evidence:
    """Return one evidence with the mean per problem over those members that have a value.

    The members must be of one board: the same problems in the same clusters.
    """
    if len(members) == 1:
        return members[0]
    values: dict[str, dict[str, float | None]] = {}
    for metric in members[0].values:
        known: dict[str, list[float]] = defaultdict(list)
        for member in members:
            for key, value in member.values.get(metric, {}).items():
                if value is not None:
                    known[key].append(value)
        values[metric] = {
            key: math.fsum(known[key]) / len(known[key]) if known[key] else None
            for key in members[0].values[metric]
        }
    return Evidence(values, members[0].bounds, members[0].clusters)


def compared(reference: Evidence, other: Evidence, metric: str) -> Change | None:
    """Return `other` minus `reference` over the problems where both have a value; else None."""
    old, new = reference.values.get(metric, {}), other.values.get(metric, {})
    changes, clusters = [], []
    for key, before in old.items():
        after = new.get(key)
        if before is not None and after is not None:
            changes.append(after - before)
            clusters.append(reference.clusters[key])
    if not changes:
        return None
    found = change(changes, clusters, bounds=reference.bounds[metric], confidence=CONFIDENCE)
    if found.mean is None:
        return None
    error = found.standard_error
    return Change(
        found.mean,
        found.low,
        found.high,
        two_sided_p(found),
        minimum_detectable_difference(error, clusters=found.effective_clusters) if error else None,
        found.n,
    )


def adjusted(changes: Sequence[Change | None], metrics: Sequence[str]) -> list[Change | None]:
    """Return the changes with Holm's adjustment within their family, in the same order.

    `metrics[i]` is what `changes[i]` is in. The metrics that rank models (`metrics.primary`) are
    one family, all others, which are exploratory, another. Raises `ValueError` for unequal lengths.
    """
    found = list(changes)
    for first in (True, False):
        family = [
            index
            for index, (item, name) in enumerate(zip(changes, metrics, strict=True))
            if item is not None and (metric_of(name).primary is not None) is first
        ]
        members = [found[index] for index in family]
        p_values = holm([None if item is None else item.p for item in members])
        for index, item, p in zip(family, members, p_values, strict=True):
            found[index] = None if item is None else replace(item, p_holm=p)
    return found


def pooled_runs(first: ResultsFile, second: ResultsFile) -> ResultsFile:
    """Return one run with the samples of two: the same model, asked again with another seed.

    Raises `UsageError` if anything but the seed and the number of samples differs, or the seed does
    not: the same seed gives the same samples, which are no new evidence.
    """
    here = f"{second.source} is not a rerun of {first.source}"
    one, two = first.results, second.results
    if one.identity["model"] != two.identity["model"]:
        raise UsageError(f"{here}: the model or its loading differs.")
    found = [x.text for x in mismatches(first, second, 1.0) if x.what != "n"]
    if found:
        raise UsageError(f"{here}: {'; '.join(found)}.")
    if one.sampling.seed == two.sampling.seed:
        raise UsageError(f"{here}: both have the same seed. Repeat the run with another --seed.")
    change = msgspec.structs.replace
    scores = {
        key: _pooled_problem(score, second.scores[key]) for key, score in first.scores.items()
    }
    results = change(
        one,
        sampling=change(one.sampling, n=first.n + second.n),
        counts=change(
            one.counts,
            samples=one.counts.samples + two.counts.samples,
            unscored=one.counts.unscored + two.counts.unscored,
        ),
        metrics={**one.metrics, **two.metrics},
        problems=list(scores.values()),
    )
    return ResultsFile(f"{first.source} + {second.source}", results, scores)


def _pooled_problem(a: ProblemResult, b: ProblemResult) -> ProblemResult:
    """Add the counts, and weight the means by their samples; faulty once is faulty."""
    if a.faulty is not None or b.faulty is not None:
        return b if a.faulty is None else a

    def mean(one: float | None, two: float | None) -> float | None:
        if one is None or two is None:
            return two if one is None else one
        return (a.n * one + b.n * two) / (a.n + b.n)

    def total(one: int | None, two: int | None) -> int | None:
        return None if one is None or two is None else one + two

    def means(one: Mapping[str, float], two: Mapping[str, float]) -> dict[str, float]:
        found = {key: mean(one.get(key), two.get(key)) for key in {**one, **two}}
        return {key: value for key, value in found.items() if value is not None}

    groups = {**a.passed_groups, **b.passed_groups}
    return msgspec.structs.replace(
        a,
        n=a.n + b.n,
        passed=total(a.passed, b.passed),
        passed_groups={
            key: a.passed_groups.get(key, 0) + b.passed_groups.get(key, 0) for key in groups
        },
        passed_without_update=total(a.passed_without_update, b.passed_without_update),
        needed_update=total(a.needed_update, b.needed_update),
        test_rate=mean(a.test_rate, b.test_rate),
        no_code=a.no_code + b.no_code,
        **{name: mean(getattr(a, name), getattr(b, name)) for name in SIMILARITY_FIELDS},
        similarity=means(a.similarity, b.similarity),
        measures=means(a.measures, b.measures),
    )
