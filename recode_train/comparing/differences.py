"""Compare evaluated arms: every two of them, and each with the start by category.

Seeds of an arm are pooled by the mean per problem; the value of every seed is kept too. With two
seeds or more, differences are about the method and count the variance between trainings; with one,
they are about these trainings (`Change.scope`). Holm's correction covers all tests of a comparison
in the primary metric and the main way to sample, and apart from them all others, which explore;
those by category only describe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.pooling import Change, Evidence, compared, evidence, in_families, pooled
from recode_eval.metrics import TRAINED, primary_of
from recode_eval.schemas.results import ProblemResult
from recode_train.comparing.arms import BASE

if TYPE_CHECKING:
    from collections.abc import Iterator

Evaluations = Mapping[tuple[str, str], Mapping[str, Sequence[Sequence[ProblemResult]]]]
"""Task and sampling -> arm -> the problems of every seed's results."""


@dataclass(frozen=True, slots=True)
class Value:
    """One metric of one arm in one evaluation."""

    task: str
    sampling: str
    metric: str
    arm: str
    estimate: Mapping[str, Any] | None
    """`value`, `low`, `high`, `problems`; None where there is no value."""
    seeds: tuple[float, ...]
    """The value of every seed."""


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """A paired difference: `arm` minus `reference`."""

    task: str
    sampling: str
    metric: str
    reference: str
    arm: str
    change: Change | None
    primary: bool = False
    """Whether it is in the metric that decides, sampled in the main way."""


@dataclass(frozen=True, slots=True)
class Category:
    """What an arm gained or lost in one group of problems, against the untrained model."""

    task: str
    sampling: str
    metric: str
    tag: str
    value: str
    arm: str
    before: float
    after: float
    change: Change


@dataclass(frozen=True, slots=True)
class Differences:
    """All of a comparison."""

    values: tuple[Value, ...]
    differences: tuple[ArmDifference, ...]
    categories: tuple[Category, ...]


def differences(
    evaluations: Evaluations, primary: str | None = None, main: str | None = None
) -> Differences:
    """Compare what was evaluated: every arm on the same problems.

    The metric `primary` decides (None: the one that ranks models on a task), in the evaluations
    sampled in the way `main` (None: in all).
    """
    values: list[Value] = []
    found: list[ArmDifference] = []
    categories: list[Category] = []
    for (task, sampling), arms in evaluations.items():
        seeds = {
            arm: [evidence(problems, TRAINED) for problems in runs] for arm, runs in arms.items()
        }
        whole = {arm: pooled(members, trainings=arm != BASE) for arm, members in seeds.items()}
        known = [m for m in TRAINED if any(one.estimate(m) is not None for one in whole.values())]
        decides = primary or primary_of(dict.fromkeys(known, True))
        first = [name for name in known if name == decides]
        for metric in (*first, *(name for name in known if name != decides)):
            counts = metric == decides and main in {None, sampling}
            values += [
                Value(task, sampling, metric, arm, whole[arm].estimate(metric), _each(one, metric))
                for arm, one in seeds.items()
            ]
            found += [
                ArmDifference(task, sampling, metric, old, new,
                              compared(whole[old], whole[new], metric), counts)
                for old, new in combinations(arms, 2)
            ]  # fmt: skip
        problems = next(iter(arms.values()))[0]
        tags = {problem.id: problem.tags for problem in problems}
        categories += _by_category(task, sampling, whole, tags, decides)
    return Differences(tuple(values), tuple(_adjusted(found)), tuple(categories))


def _adjusted(found: Sequence[ArmDifference]) -> Iterator[ArmDifference]:
    """Yield the differences with Holm's adjustment, the deciding ones apart from all others."""
    changes = in_families([item.change for item in found], [item.primary for item in found])
    for item, change in zip(found, changes, strict=True):
        yield replace(item, change=change)


def _each(members: Sequence[Evidence], metric: str) -> tuple[float, ...]:
    estimates = (member.estimate(metric) for member in members)
    return tuple(estimate["value"] for estimate in estimates if estimate is not None)


def _by_category(
    task: str,
    sampling: str,
    whole: Mapping[str, Evidence],
    tags: Mapping[str, Mapping[str, str]],
    decides: str,
) -> Iterator[Category]:
    """Yield gains and losses by every tag that tells problems apart, in the metric that decides.

    Where a task does not have it, in the first one that it has.
    """
    start = whole[BASE]
    metric = next((m for m in (decides, *TRAINED) if start.estimate(m) is not None), None)
    if metric is None:
        return
    for tag in sorted({tag for found in tags.values() for tag in found}):
        groups: dict[str, set[str]] = defaultdict(set)
        for problem, found in tags.items():
            groups[found.get(tag, "")].add(problem)
        if len(groups) < 2:
            continue
        for value, problems in sorted(groups.items()):
            before = _part(start, metric, problems)
            old = before.estimate(metric)
            for arm in whole:
                if arm == BASE:
                    continue
                after = _part(whole[arm], metric, problems)
                change, new = compared(before, after, metric), after.estimate(metric)
                if change is not None and old is not None and new is not None:
                    yield Category(task, sampling, metric, tag, value, arm, old["value"],
                                   new["value"], change)  # fmt: skip


def _part(found: Evidence, metric: str, problems: set[str]) -> Evidence:
    values = {key: value for key, value in found.values[metric].items() if key in problems}
    trainings = tuple(_part(one, metric, problems) for one in found.trainings)
    return Evidence({metric: values}, found.bounds, found.clusters, trainings)
