"""Runs as evidence for a view: their values per problem, several seeds as one, paired differences.

Trainings of one method (its seeds) are pooled by the mean per problem: a second one makes a value
more exact, it is no second problem. A difference of methods counts the variance between trainings
(`stats.trainings`); where a method has one, the difference is about these trainings only, and says
so by its scope. Estimates and tests are those of `stats` and `differences`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval.comparison.comparability import mismatches
from recode_eval.comparison.differences import change, holm, two_sided_p
from recode_eval.comparison.headline import LEVEL
from recode_eval.comparison.sentences import p_text
from recode_eval.errors import UsageError
from recode_eval.metrics import METHODS, TaskKind, primary
from recode_eval.metrics import metric as metric_of
from recode_eval.run.results import metric_values
from recode_eval.run.results_file import ResultsFile
from recode_eval.schemas.results import SIMILARITY_FIELDS
from recode_eval.stats.estimates import cluster_mean, minimum_detectable_difference
from recode_eval.stats.trainings import method_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.schemas.results import ProblemResult
    from recode_eval.stats.estimates import Bounds, Estimate

CONFIDENCE = 0.95


class Scope(StrEnum):
    """What a difference, its interval and its p-value are about."""

    MODELS = "these models"
    """No side is a method of training."""
    TRAININGS = "these trainings"
    """A method has one training: nothing says how far another would lie away."""
    METHODS = "methods"
    """Every method has several trainings, and their variance is counted."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Values per problem and metric, of one run or of several pooled; None is unscored."""

    values: Mapping[str, Mapping[str, float | None]]
    bounds: Mapping[str, Bounds]
    clusters: Mapping[str, str]
    trainings: tuple[Evidence, ...] = ()
    """The trainings of one method, if this is their mean; empty: a model, not a method."""

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
    scope: Scope = Scope.MODELS
    trainings: tuple[int, ...] = ()
    """How many trainings each method has; the reference's first."""
    trainings_share: float | None = None
    """How much of the squared error is the variance between trainings; None: not counted."""
    exploratory: bool = False
    """Whether the metric is one of many that were not declared beforehand."""

    @property
    def verdict(self) -> str:
        """`up`, `down` or `same` (not distinguishable); `none`: no test.

        In a ranking metric this is the pair's own test, as in `comparison.headline`; in an
        exploratory one the adjusted p-value decides.
        """
        p_value = self.p_holm if self.exploratory and self.p_holm is not None else self.p
        if p_value is None:
            return "none"
        if p_value >= LEVEL:
            return "same"
        return "up" if self.value > 0 else "down"

    @property
    def p_words(self) -> str:
        """The p-value that decides, with the adjusted one beside it where it is another.

        >>> change = Change(0.07, 0.01, 0.13, 0.033, 0.12, 50, p_holm=0.116)
        >>> change.verdict, change.p_words
        ('up', 'p 0.033 (Holm: 0.116)')
        >>> replace(change, exploratory=True).p_words
        'p 0.116, Holm'
        """
        if self.p is None:
            return "no test"
        if self.p_holm is None or self.p_holm == self.p:
            return f"p {p_text(self.p)}"
        if self.exploratory:
            return f"p {p_text(self.p_holm)}, Holm"
        return f"p {p_text(self.p)} (Holm: {p_text(self.p_holm)})"


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


def pooled(members: Sequence[Evidence], *, trainings: bool = False) -> Evidence:
    """Return one evidence with the mean per problem over those members that have a value.

    The members must be of one board: the same problems in the same clusters. `trainings`: each is
    another training of one method; otherwise they are runs of one model.
    """
    kept = tuple(members) if trainings else ()
    if len(members) == 1:
        return replace(members[0], trainings=kept)
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
    return Evidence(values, members[0].bounds, members[0].clusters, kept)


def compared(reference: Evidence, other: Evidence, metric: str) -> Change | None:
    """Return `other` minus `reference` over the problems where both have a value; else None.

    If each side that is a method has several trainings, interval and p-value are about the methods.
    """
    old, new = reference.values.get(metric, {}), other.values.get(metric, {})
    changes, keys = [], []
    for key, before in old.items():
        after = new.get(key)
        if before is not None and after is not None:
            changes.append(after - before)
            keys.append(key)
    if not changes:
        return None
    clusters = [reference.clusters[key] for key in keys]
    bounds = reference.bounds[metric]
    found = change(changes, clusters, bounds=bounds, confidence=CONFIDENCE)
    if found.mean is None:
        return None
    error = found.standard_error
    detectable = (
        minimum_detectable_difference(error, clusters=found.effective_clusters) if error else None
    )
    result = Change(found.mean, found.low, found.high, two_sided_p(found), detectable, found.n)
    methods = [
        _means(side.trainings, metric, keys) for side in (reference, other) if side.trainings
    ]
    if not methods:
        return result
    result = replace(result, trainings=tuple(map(len, methods)), scope=Scope.TRAININGS)
    if min(map(len, methods)) < 2 or found.low is None:
        return result
    return _of_methods(result, found, methods, bounds)


def _means(trainings: Sequence[Evidence], metric: str, keys: Sequence[str]) -> list[float]:
    """Return the mean of every training over these problems; one without values is left out."""
    found = []
    for training in trainings:
        known = [v for key in keys if (v := training.values[metric].get(key)) is not None]
        if known:
            found.append(math.fsum(known) / len(known))
    return found


def _of_methods(
    result: Change, found: Estimate, methods: Sequence[Sequence[float]], bounds: Bounds
) -> Change:
    """Return the change as one of methods."""
    assert found.effective_clusters is not None
    degrees = found.effective_clusters - 1
    standard_error = found.standard_error
    if not standard_error:
        # All clusters changed alike: their bound, read as an interval of this error.
        assert found.low is not None
        assert found.high is not None
        unit = minimum_detectable_difference(1.0, power=0.5, clusters=found.effective_clusters)
        standard_error = (found.high - found.low) / 2 / unit
    error = method_error(standard_error, degrees, methods)
    low, high = error.interval(result.value, CONFIDENCE)
    reach = bounds[1] - bounds[0]
    return replace(
        result,
        low=max(low, -reach),
        high=min(high, reach),
        p=error.p_value(result.value),
        detectable=minimum_detectable_difference(error.standard_error, clusters=error.degrees + 1),
        scope=Scope.METHODS,
        trainings_share=error.trainings_share,
    )


def adjusted(changes: Sequence[Change | None], metrics: Sequence[str]) -> list[Change | None]:
    """Return the changes with Holm's adjustment within their family, in the same order.

    `metrics[i]` is what `changes[i]` is in. The metrics that rank models (`metrics.primary`) are
    one family, all others, which are exploratory, another. Raises `ValueError` for unequal lengths.
    """
    return in_families(changes, [metric_of(name).primary is not None for name in metrics])


def in_families(changes: Sequence[Change | None], declared: Sequence[bool]) -> list[Change | None]:
    """Return the changes with Holm's adjustment: those declared beforehand, and the exploratory.

    `declared[i]` tells the family of `changes[i]`. Raises `ValueError` for unequal lengths.
    """
    found = list(changes)
    for first in (True, False):
        family = [
            index
            for index, (item, known) in enumerate(zip(changes, declared, strict=True))
            if item is not None and known is first
        ]
        members = [found[index] for index in family]
        p_values = holm([None if item is None else item.p for item in members])
        for index, item, p in zip(family, members, p_values, strict=True):
            if item is not None:
                found[index] = replace(item, p_holm=p, exploratory=not first)
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
