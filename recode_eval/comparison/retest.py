"""Repeated runs of one model: how far a figure moves when nothing but chance, or the prompt, does.

An interval says what other problems would show. The standard deviation between repeats says what
the same command shows tomorrow: the same problems, other seeds; or another wording of the prompt,
which no interval covers. Beside it stands what the samples alone explain (`stats.variance`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.comparability import Strictness, differences, facts, model_key
from recode_eval.comparison.pooling import evidence, pooled
from recode_eval.errors import UsageError
from recode_eval.metrics import metric as metric_of
from recode_eval.metrics import primary_of
from recode_eval.models.backends import backend_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.run.results_file import ResultsFile

_MAY_DIFFER = frozenset({"prompt"})
_ROLES = ("one run", "the other")


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric over the repeats, in its own unit."""

    metric: str
    values: tuple[float, ...]
    """Of every repeat, in the order of the runs."""
    low: float | None
    high: float | None
    """The clustered 95 % interval of the mean over repeats: other problems."""
    sampling: float | None
    """The standard deviation that the samples alone explain; None where it is not known."""
    problems: int

    @property
    def mean(self) -> float:
        """The mean over the repeats."""
        return fmean(self.values)

    @property
    def deviation(self) -> float:
        """The standard deviation between the repeats (n - 1)."""
        return stdev(self.values)


@dataclass(frozen=True, slots=True)
class Retest:
    """The repeats of one model on one task."""

    runs: tuple[ResultsFile, ...]
    spreads: tuple[Spread, ...]
    """The primary metric first."""

    @property
    def varied(self) -> str:
        """What differs between the repeats."""
        seeds = {run.results.sampling.seed for run in self.runs}
        prompts = {run.results.prompt.hash for run in self.runs}
        parts = [
            f"{len(items)} {name}"
            for name, items in (("seeds", seeds), ("prompts", prompts))
            if len(items) > 1
        ]
        return " and ".join(parts)

    def sentence(self, model: str, task: str) -> str:
        """Return the primary metric as one plain sentence; with names that are safe to show."""
        first = self.spreads[0]
        shown = metric_of(first.metric)
        interval = shown.show_interval(first.low, first.high)
        explained = (
            ""
            if first.sampling is None
            else f"; the samples alone explain {shown.show(first.sampling)}"
        )
        return (
            f"{shown.label} of {model} on {task} is {shown.show(first.mean)} {interval} on "
            f"average, with a standard deviation of {shown.show(first.deviation)} between "
            f"{len(self.runs)} runs ({self.varied}){explained}."
        )


def retests(runs: Sequence[ResultsFile]) -> list[Retest]:
    """Group runs of one model and task that differ in the seed or the prompt only.

    Raises `UsageError` for a run that no other repeats, naming what differs from the nearest, for
    two runs with the same seed and prompt, which are no repeats, and for answers that no model
    wrote: saved or known ones do not depend on the seed.
    """
    for run in runs:
        backend = run.results.model.backend
        if not backend_facts(backend).generates:
            raise UsageError(
                f"{run.source}: the back-end {backend} does not generate, so its answers do not "
                "depend on the seed; a retest needs runs of a model."
            )
    groups: list[list[ResultsFile]] = []
    for run in runs:
        for group in groups:
            if not _unlike(group[0], run):
                group.append(run)
                break
        else:
            groups.append([run])
    for group in groups:
        if len(group) == 1:
            raise UsageError(_why_alone(group[0], runs))
        _refuse_copies(group)
    return [_retest(group) for group in groups]


def _unlike(a: ResultsFile, b: ResultsFile) -> list[str]:
    """Return what keeps `b` from being a repeat of `a`."""
    if model_key(a.results) != model_key(b.results):
        return ["the model or its loading differs"]
    return [
        item.text
        for item in differences(facts(a), facts(b), _ROLES)
        if item.level is Strictness.STRICT and item.what not in _MAY_DIFFER
    ]


def _why_alone(run: ResultsFile, runs: Sequence[ResultsFile]) -> str:
    others = [other for other in runs if other is not run and other.task == run.task]
    if not others:
        return f"{run.source}: no other run of the task {run.task} was named; a retest needs two."
    reasons = min((_unlike(run, other) for other in others), key=len)
    return f"{run.source} repeats none of the other runs of {run.task}: {'; '.join(reasons)}."


def _refuse_copies(group: Sequence[ResultsFile]) -> None:
    seen: dict[tuple[int, str], str] = {}
    for run in group:
        key = run.results.sampling.seed, run.results.prompt.hash
        if key in seen:
            raise UsageError(
                f"{seen[key]} and {run.source} have the same seed and prompt: a retest needs "
                "another --seed or --prompt."
            )
        seen[key] = run.source


def _retest(group: Sequence[ResultsFile]) -> Retest:
    first = group[0]
    main = primary_of(first.metrics)
    names = [main, *(name for name in first.metrics if name != main)]
    found = (_spread(name, group) for name in names)
    return Retest(tuple(group), tuple(item for item in found if item is not None))


def _spread(name: str, group: Sequence[ResultsFile]) -> Spread | None:
    """Return one metric's spread over the problems that have it in every repeat."""
    columns = [run.values(name) for run in group]
    if not all(columns):
        return None
    keys = [key for key in columns[0] if all(c.get(key) is not None for c in columns)]
    if not keys:
        return None
    values = tuple(math.fsum(c[key] or 0.0 for key in keys) / len(keys) for c in columns)
    members = [evidence([run.scores[key] for key in keys], [name]) for run in group]
    estimate = pooled(members).estimate(name) or {}
    return Spread(
        name, values, estimate.get("low"), estimate.get("high"), _sampling(name, keys, group),
        len(keys),
    )  # fmt: skip


def _sampling(name: str, keys: Sequence[str], group: Sequence[ResultsFile]) -> float | None:
    """Return the mean over runs of the standard deviation that sampling gives a run's mean."""
    found = []
    for run in group:
        parts = [metric_of(name).sampling_variance(run.scores[key]) for key in keys]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        found.append(math.fsum(known) / len(keys) ** 2)
    return math.sqrt(fmean(found))


def to_json(item: Retest) -> dict[str, Any]:
    """Return the JSON form of a retest."""
    return {
        "task": item.runs[0].task,
        "model": item.runs[0].model,
        "runs": [
            {
                "source": run.source,
                "seed": run.results.sampling.seed,
                "prompt": run.results.prompt.name,
            }
            for run in item.runs
        ],
        "sentence": item.sentence(item.runs[0].model, item.runs[0].task),
        "metrics": [
            {
                "metric": spread.metric,
                "values": list(spread.values),
                "mean": spread.mean,
                "low": spread.low,
                "high": spread.high,
                "sd_between_runs": spread.deviation,
                "sd_of_sampling": spread.sampling,
                "problems": spread.problems,
            }
            for spread in item.spreads
        ],
    }
