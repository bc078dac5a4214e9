"""Problems to look at: never or always solved, solved against the order of models, unstable.

None of these is proof of a broken problem. A problem that nobody solves says nothing about the
difference of two models, one that better models solve less often may have wrong tests, and one
whose repeats disagree more than samples do may depend on something that is not the answer.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from recode_eval.comparison.comparability import Strictness, differences, facts, model_key
from recode_eval.comparison.problems import changed_problems, common_counts
from recode_eval.errors import UsageError
from recode_eval.stats.items import item_rest, negative_p

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import ProblemResult

    Counts = Mapping[str, tuple[int, int]]
    """Passes and samples of one model by problem; no problem without samples."""

FEWEST_MODELS: Final = 5
"""Fewer models make every correlation a matter of luck."""
FALSE_DISCOVERIES: Final = 0.1
"""Expected share of the problems named as negative that are not, at most (Benjamini, Hochberg)."""
_SAME = frozenset({"task", "task_version", "data", "tested", "isolation", "scoring"})
"""What runs must share for their problems to be the same items."""


class Flag(StrEnum):
    """Why a problem is worth a look."""

    NEVER = "never solved"
    ALWAYS = "always solved"
    NEGATIVE = "better models solve it less often"
    UNSTABLE = "repeats of one model disagree"


@dataclass(frozen=True, slots=True)
class Item:
    """One problem over all models."""

    id: str
    passed: int
    """Samples that pass, of all models."""
    samples: int
    models: int
    correlation: float | None
    """With the rest of the problems, over models; None: too few models, or no variation."""
    flags: tuple[Flag, ...]


@dataclass(frozen=True, slots=True)
class Screening:
    """The items of one task."""

    task: str
    models: tuple[str, ...]
    runs: int
    items: tuple[Item, ...]

    @property
    def flagged(self) -> tuple[Item, ...]:
        """The problems with a flag."""
        return tuple(item for item in self.items if item.flags)

    def count(self, flag: Flag) -> int:
        """Return how many problems have a flag."""
        return sum(flag in item.flags for item in self.items)

    @property
    def sentence(self) -> str:
        """What was found, in one line."""
        parts = ", ".join(f"{self.count(flag)} {flag}" for flag in Flag)
        note = (
            ""
            if len(self.models) >= FEWEST_MODELS
            else f" Correlations need {FEWEST_MODELS} models or more."
        )
        return (
            f"{_count(len(self.items), 'problem')}, {_count(len(self.models), 'model')}, "
            f"{_count(self.runs, 'run')}: {parts}.{note}"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def screen(runs: Sequence[ResultsFile]) -> list[Screening]:
    """Return the items of every task that the runs have.

    Runs with equal weights are one model; where they differ in nothing but the seed, they are
    repeats of each other. Raises `UsageError` for runs of one task whose data or grading differ,
    and for a task without tests.
    """
    by_task: dict[str, list[ResultsFile]] = defaultdict(list)
    for run in runs:
        by_task[run.task].append(run)
    return [_screen(task, members) for task, members in by_task.items()]


def _screen(task: str, runs: Sequence[ResultsFile]) -> Screening:
    first = runs[0]
    if not first.tested:
        raise UsageError(f"The task {task} has no tests, so no problem is solved or not.")
    for run in runs[1:]:
        found = differences(facts(first), facts(run), (first.source, run.source))
        if reasons := [item.text for item in found if item.what in _SAME]:
            raise UsageError(
                f"{run.source} and {first.source} have other items: {'; '.join(reasons)}."
            )
    models: dict[str, list[ResultsFile]] = defaultdict(list)
    for run in runs:
        models[model_key(run.results)].append(run)
    counts = [counts_of([run.scores.values() for run in members]) for members in models.values()]
    unstable = {key for members in models.values() for key in _unstable(members)}
    items = [
        replace(item, flags=(*item.flags, Flag.UNSTABLE)) if item.id in unstable else item
        for item in screened(counts)
    ]
    names = tuple(members[0].model for members in models.values())
    return Screening(task, names, len(runs), tuple(items))


def screened(counts: Sequence[Counts]) -> list[Item]:
    """Return the problems of `counts`, one mapping for each model, with the flags they give."""
    ids = list(dict.fromkeys(key for found in counts for key in found))
    correlations = _correlations(ids, counts)
    negative = _negative(correlations, len(counts))
    items = []
    for key in ids:
        known = [found[key] for found in counts if key in found]
        passed, samples = (sum(column) for column in zip(*known, strict=True))
        holds = {
            Flag.NEVER: passed == 0,
            Flag.ALWAYS: passed == samples,
            Flag.NEGATIVE: key in negative,
        }
        flags = tuple(flag for flag, yes in holds.items() if yes)
        items.append(Item(key, passed, samples, len(known), correlations.get(key), flags))
    return items


def counts_of(runs: Iterable[Iterable[ProblemResult]]) -> Counts:
    """Return passes and samples of a model by problem, over all of its runs."""
    found: dict[str, tuple[int, int]] = {}
    for problems in runs:
        for score in problems:
            if score.n and score.passed is not None:
                passed, samples = found.get(score.id, (0, 0))
                found[score.id] = passed + score.passed, samples + score.n
    return found


def _correlations(ids: Sequence[str], counts: Sequence[Counts]) -> dict[str, float]:
    """Return the item-rest correlations of the problems that every model has."""
    if len(counts) < FEWEST_MODELS:
        return {}
    common = [key for key in ids if all(key in found for found in counts)]
    rates = [[found[key][0] / found[key][1] for key in common] for found in counts]
    return {
        key: value for key, value in zip(common, item_rest(rates), strict=True) if value is not None
    }


def _negative(correlations: Mapping[str, float], models: int) -> set[str]:
    """Return the problems whose correlation is certainly below 0."""
    from scipy.stats import false_discovery_control

    if not correlations:
        return set()
    p_values = [negative_p(value, models) for value in correlations.values()]
    adjusted = false_discovery_control(p_values, method="bh")
    return {key for key, p in zip(correlations, adjusted, strict=True) if p <= FALSE_DISCOVERIES}


def _unstable(runs: Sequence[ResultsFile]) -> set[str]:
    """Return the problems on which repeats of one model differ by more than chance.

    Greedy answers have no chance: there, any difference counts.
    """
    found: set[str] = set()
    known = [(run, facts(run)) for run in runs]
    for (a, here), (b, there) in itertools.combinations(known, 2):
        if any(x.level is Strictness.STRICT for x in differences(here, there, ("", ""))):
            continue
        ids, counts = common_counts(a, b)
        if a.results.sampling.temperature == 0:
            moved = [new * n - old * m for old, n, new, m in counts]
        else:
            moved = changed_problems(counts)
        found |= {key for key, sign in zip(ids, moved, strict=True) if sign}
    return found


def to_json(found: Screening) -> dict[str, Any]:
    """Return the JSON form of a screening."""
    return {
        "task": found.task,
        "models": list(found.models),
        "runs": found.runs,
        "sentence": found.sentence,
        "counts": {str(flag): found.count(flag) for flag in Flag},
        "items": [
            {
                "id": item.id,
                "passed": item.passed,
                "samples": item.samples,
                "models": item.models,
                "correlation": item.correlation,
                "flags": [str(flag) for flag in item.flags],
            }
            for item in found.items
        ],
    }
