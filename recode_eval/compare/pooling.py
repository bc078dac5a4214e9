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

from recode_eval.compare.comparison import change, holm, two_sided_p
from recode_eval.errors import DataError
from recode_eval.run.results import metric_values, stored_score
from recode_eval.run.store import RESULTS
from recode_eval.stats.estimates import cluster_mean, minimum_detectable_difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.stats.estimates import Bounds

METRICS = ("pass@1", "pass@5", "upass@1", "es_star")
"""What methods are compared by, where a task has it."""
ALPHA = 0.05
CONFIDENCE = 0.95
_KS = (1, 5)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Values per problem and metric, of one run or of several pooled; None is unscored."""

    values: Mapping[str, Mapping[str, float | None]]
    bounds: Mapping[str, Bounds]
    clusters: Mapping[str, str]

    def estimate(self, metric: str) -> dict[str, Any] | None:
        """Return the mean with its interval, as results have it; None where nothing has a value."""
        values = self.values.get(metric, {})
        if all(value is None for value in values.values()):
            return None
        clusters = [self.clusters[key] for key in values]
        found = cluster_mean(
            list(values.values()), clusters, CONFIDENCE, bounds=self.bounds[metric]
        )
        return {"value": found.mean, "low": found.low, "high": found.high, "problems": found.n}


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
    """`p` adjusted for all that was tested together."""

    @property
    def verdict(self) -> str:
        """`up`, `down` or `same` (not distinguishable) by the adjusted p-value; `none`: no test."""
        if self.p_holm is None:
            return "none"
        if self.p_holm >= ALPHA:
            return "same"
        return "up" if self.value > 0 else "down"


def evidence(results: Mapping[str, Any], metrics: Sequence[str] = (*METRICS, "es")) -> Evidence:
    """Return a run's values from its results.

    Raises `DataError` where its problems hold what no run has.
    """
    try:
        scores = [stored_score(problem) for problem in results["problems"]]
        found = metric_values(scores, _KS)
        ids = [score.problem.id for score in scores]
        clusters = {score.problem.id: score.problem.cluster for score in scores}
        chosen = {name: found[name] for name in metrics if name in found}
        for name, metric in chosen.items():
            low, high = metric.bounds
            if not all(value is None or low <= value <= high for value in metric.values):
                raise ValueError(f"a value of {name} is out of its range")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{RESULTS} is damaged ({type(error).__name__}: {error}).") from error
    return Evidence(
        {name: dict(zip(ids, metric.values, strict=True)) for name, metric in chosen.items()},
        {name: metric.bounds for name, metric in chosen.items()},
        clusters,
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
        minimum_detectable_difference(error, clusters=found.clusters) if error else None,
        found.n,
    )


def adjusted(changes: Iterable[Change | None]) -> list[Change | None]:
    """Return the changes with Holm's adjustment over all of them, in the same order."""
    found = list(changes)
    p_values = holm([None if item is None else item.p for item in found])
    return [
        None if item is None else replace(item, p_holm=p)
        for item, p in zip(found, p_values, strict=True)
    ]
