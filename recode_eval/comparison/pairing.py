"""Pairs for a comparison: the runs of several places by task, a metric's values by problem."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.errors import DataError, UsageError
from recode_eval.plugins import unknown
from recode_eval.run.results_file import ResultsFile, load_runs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CONTENT = re.compile(r"#[0-9a-f]{8}$")
"""What a problem's id says of its content, in a log of another harness (`run.foreign`)."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """A metric on the problems that both runs have a value of."""

    ids: list[str]
    baseline: list[float]
    candidate: list[float]
    clusters: list[str]


def paired(a: ResultsFile, b: ResultsFile, metric: str) -> Pairs:
    """Return a metric's values on the problems where both runs have one."""
    second = b.values(metric)
    pairs = Pairs([], [], [], [])
    for key, old in a.values(metric).items():
        new = second.get(key)
        if old is not None and new is not None:
            pairs.ids.append(key)
            pairs.baseline.append(old)
            pairs.candidate.append(new)
            pairs.clusters.append(a.scores[key].cluster)
    return pairs


def pair_runs(
    places: Sequence[Path],
) -> tuple[list[tuple[ResultsFile, ResultsFile]], list[tuple[str, ...]]]:
    """Pair the tasks of the first place, the baseline, with those of every other one.

    Returns the pairs, and for each the cautions about tasks that only one of its two places has:
    they stand with the first pair of these places.

    Raises:
        UsageError: fewer than two places are named, or two have no task in common.
        DataError: results are damaged, or were measured on different data.
    """
    if len(places) < 2:
        raise UsageError("Two runs are needed: recode-eval compare BASELINE CANDIDATE")
    first, *others = [load_runs([place]) for place in places]
    pairs: list[tuple[ResultsFile, ResultsFile]] = []
    cautions: list[tuple[str, ...]] = []
    for place, runs in zip(places[1:], others, strict=True):
        by_task = {run.task: run for run in runs}
        found = [(a, by_task[a.task]) for a in first if a.task in by_task]
        if not found:
            raise UsageError(
                f"{place} and {places[0]} share no task: {', '.join(by_task)} and "
                f"{', '.join(run.task for run in first)}."
            )
        for a, b in found:
            if a.results.task.data_hash != b.results.task.data_hash:
                raise DataError(
                    f"{a.source} and {b.source} used different data (hashes "
                    f"{a.results.task.data_hash[:12]} and {b.results.task.data_hash[:12]}), so "
                    "their problems cannot be paired. Run one of them again on the other's rows."
                )
        pairs += found
        cautions += [_alone(first, runs), *[()] * (len(found) - 1)]
    return pairs, cautions


def check_metrics(metrics: Sequence[str], runs: Sequence[ResultsFile]) -> None:
    """Raise `UsageError` for a metric that none of the runs has."""
    known = dict.fromkeys(name for run in runs for name in run.metrics)
    for name in metrics:
        if name not in known:
            raise UsageError(unknown("metric of these runs", name, known))


def why_nothing_pairs(a: ResultsFile, b: ResultsFile) -> str:
    """Return the message for two runs of which no metric can be compared."""
    if a.scores.keys() & b.scores.keys():
        return (
            f"{a.source} and {b.source} share none of these metrics. "
            f"The baseline has: {', '.join(a.metrics)}."
        )
    told = (
        f"{a.source} and {b.source} have no problem in common: {len(a.scores)} and "
        f"{len(b.scores)} problems."
    )
    names = [{_CONTENT.sub("", key) for key in run.scores} for run in (a, b)]
    if edited := names[0] & names[1]:
        told += (
            f" {len(edited)} of their samples have the same id and another content: the question "
            "was edited, or asked with another prompt. Evaluate one of them again as the other was."
        )
    return told


def _alone(baseline: Sequence[ResultsFile], candidate: Sequence[ResultsFile]) -> tuple[str, ...]:
    """Say which tasks only one side has."""
    tasks = [[run.task for run in side] for side in (baseline, candidate)]
    sides = ("baseline", tasks[0], tasks[1]), ("candidate", tasks[1], tasks[0])
    return tuple(
        f"only the {name} has the task{'s' if len(alone) > 1 else ''} {', '.join(alone)}: not "
        "compared"
        for name, own, other in sides
        if (alone := [task for task in own if task not in other])
    )
