"""Every fact about a metric, stated once: name, label, range, direction, digits, and its value.

Results, comparisons, the gate, reports, exports and the leaderboard (its scripts too) read this
registry. A similarity metric takes a field in `scoring.similarity.Similarity` and an entry in
`_BUILTIN` here; results written before it have no value of it. A task's own measures need no entry:
what is not named here is a share in [0, 1] of which more is better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from recode_eval.scoring.pass_at_k import pass_at_k, pass_at_k_variance
from recode_eval.stats.estimates import is_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_eval.schemas.results import ProblemResult, StoredEstimate
    from recode_eval.stats.estimates import Bounds

    Value = Callable[[ProblemResult], float | None]
    Passes = Callable[[ProblemResult], int | None]

DEFAULT_KS: Final = (1, 5, 10)
"""The k of pass@k and its kin that are reported unless a run asks for others."""
NAME_PATTERN: Final = "^([a-z][a-z0-9_]*_pass@[0-9]+|u?pass@[0-9]+|[a-z][a-z0-9_]*)$"
"""What a metric may be called in results.json."""
_K = r"([1-9][0-9]{0,8})"


class Kind(StrEnum):
    """Where a metric's values come from."""

    TESTS = "tests"
    """The verdicts of tests."""
    TEXT = "text"
    """The completion alone."""
    SIMILARITY = "similarity"
    """Code and reference (`scoring.similarity`)."""
    MEASURE = "measure"
    """The task itself (`tasks.base.Measuring`)."""


class TaskKind(StrEnum):
    """Which metric ranks depends on whether a task has tests."""

    TESTED = "tested"
    UNTESTED = "untested"


class Needs(StrEnum):
    """What the problems must have for a metric to be reported."""

    NOTHING = "nothing"
    TESTS = "tests"
    UPDATE = "update"
    """Tests with and without the update."""


def tested(problems: Iterable[ProblemResult]) -> bool:
    """Tell whether the task has tests; without any, similarity is all there is."""
    return any(problem.passed is not None for problem in problems)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with all that is known of it.

    >>> metric("es_star").show(0.625), metric("pass@1").show(0.625)
    ('0.62', '62.5')
    """

    name: str
    label: str
    """For people, in running text."""
    kind: Kind
    value: Value = field(repr=False, compare=False)
    """The metric of one problem, in the metric's own unit; None where it has none."""
    bounds: Bounds = (0.0, 1.0)
    higher_is_better: bool = True
    scale: int = 100
    """What a value is multiplied by to be shown: 100 shows a share in percent."""
    digits: int = 1
    """Decimals of a shown value."""
    needs: Needs = Needs.NOTHING
    k: int | None = None
    """The k of pass@k and its kin."""
    primary: TaskKind | None = None
    """The kind of task that this metric ranks models on: what a comparison tests first."""
    passes: Passes | None = field(default=None, repr=False, compare=False)
    """Of one problem, the samples that pass, where the metric is pass@k of them (k is 1 without
    one): how far it varies from sample to sample is known from that."""

    @property
    def heading(self) -> str:
        """The label as it stands alone, for example above a column."""
        return self.label if "@" in self.label else self.label[:1].upper() + self.label[1:]

    @property
    def width(self) -> float:
        """The length of the metric's range, in its own unit."""
        return self.bounds[1] - self.bounds[0]

    def sampling_variance(self, problem: ProblemResult) -> float | None:
        """Return the variance of one problem's value over its samples; None where unknown."""
        passed = None if self.passes is None else self.passes(problem)
        if passed is None or not problem.n:
            return None
        return pass_at_k_variance(problem.n, passed, self.k or 1)

    def show(self, value: float, *, sign: bool = False) -> str:
        """Return a value (or, with `sign`, a difference) as people see it; nothing has no sign."""
        text = f"{self.scale * value:{'+' if sign else ''}.{self.digits}f}"
        return text.lstrip("+-") if float(text) == 0 else text

    def show_interval(self, low: float | None, high: float | None, *, sign: bool = False) -> str:
        """Return `[50.0, 75.0]`, or nothing where there is no interval."""
        if low is None or high is None:
            return ""
        return f"[{self.show(low, sign=sign)}, {self.show(high, sign=sign)}]"

    def show_uncertainty(self, estimate: StoredEstimate | Mapping[str, Any]) -> str:
        """Return the interval of a stored estimate, or words where all similarities were equal.

        For a share the bound on clusters is an interval as any. Similarities have no such model:
        what other texts would be like, nobody can tell from equal ones.

        >>> bound = "all equal: Clopper-Pearson bound on clusters"
        >>> metric("es_star").show_uncertainty(
        ...     {"value": 2.0, "low": 0.65, "high": 2.0, "method": bound, "problems": 9})
        '(9 of 9 exact)'
        """
        if self.kind is not Kind.SIMILARITY or not is_bound(estimate.get("method", "")):
            return self.show_interval(estimate["low"], estimate["high"])
        words = "exact" if estimate["value"] >= self.bounds[1] else "alike"
        return f"({estimate['problems']} of {estimate['problems']} {words})"

    def to_json(self) -> dict[str, Any]:
        """Return what a page's script needs to show the metric."""
        return {
            "name": self.name,
            "label": self.heading,
            "k": self.k,
            "scale": self.scale,
            "unit": "points" if self.scale == 100 else "units",
            "bounds": list(self.bounds),
            "digits": self.digits,
            "higher_is_better": self.higher_is_better,
        }


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics that differ in k alone, or in a group of the tests and k."""

    pattern: re.Pattern[str]
    """Matches a member's whole name; its groups are the arguments of `make`."""
    make: Callable[..., Metric]
    """Makes a member from k, or from group and k."""
    grouped: bool = False


def _of_passes(
    name: str,
    label: str,
    passes: Passes,
    k: str | int,
    needs: Needs,
    primary: TaskKind | None = None,
) -> Metric:
    """Return pass@k of those samples that `passes` counts."""
    k = int(k)

    def value(problem: ProblemResult) -> float | None:
        passed = passes(problem)
        return None if passed is None else pass_at_k(problem.n, passed, k)

    return Metric(
        name.format(k), label.format(k), Kind.TESTS, value,
        needs=needs, k=k, primary=primary, passes=passes,
    )  # fmt: skip


def _pass_at_k(k: str | int) -> Metric:
    ranks = TaskKind.TESTED if int(k) == 1 else None
    return _of_passes("pass@{}", "pass@{}", lambda p: p.passed, k, Needs.TESTS, ranks)


def _group_pass_at_k(group: str, k: str | int) -> Metric:
    return _of_passes(
        f"{group}_pass@{{}}", f"pass@{{}} ({group})", lambda p: p.passed_groups.get(group), k,
        Needs.TESTS,
    )  # fmt: skip


def _upass_at_k(k: str | int) -> Metric:
    return _of_passes("upass@{}", "UPass@{}", lambda p: p.needed_update, k, Needs.UPDATE)


def _counted(count: str, problem: ProblemResult) -> int:
    return getattr(problem, count) or 0


def _share(count: str, problem: ProblemResult) -> float | None:
    return _counted(count, problem) / problem.n if problem.n else None


def similarity(name: str, label: str, **facts: Any) -> Metric:
    """Return a metric that is the mean of a field of `scoring.similarity.Similarity`."""
    return Metric(name, label, Kind.SIMILARITY, lambda p: p.similarity_of(name), **facts)


def measure(name: str, label: str = "", **facts: Any) -> Metric:
    """Return a task's own measure; without a label its name is shown with spaces."""
    text = label or name.replace("_", " ")
    return Metric(name, text, Kind.MEASURE, lambda p: p.measures.get(name), **facts)


_STAR: Final[Mapping[str, Any]] = {"bounds": (-2.0, 2.0), "scale": 1, "digits": 2}
_BUILTIN: Final[tuple[Metric | Family, ...]] = (
    Family(re.compile(f"pass@{_K}"), _pass_at_k),
    Family(re.compile(rf"([a-z][a-z0-9_]*)_pass@{_K}"), _group_pass_at_k, grouped=True),
    Family(re.compile(f"upass@{_K}"), _upass_at_k),
    Metric(
        "pass_without_update", "pass without update", Kind.TESTS,
        partial(_share, "passed_without_update"), higher_is_better=False, needs=Needs.UPDATE,
        passes=partial(_counted, "passed_without_update"),
    ),
    Metric("test_rate", "tests passed", Kind.TESTS, lambda p: p.test_rate, needs=Needs.TESTS),
    Metric(
        "no_code", "no code found", Kind.TEXT, partial(_share, "no_code"), higher_is_better=False,
        passes=partial(_counted, "no_code"),
    ),
    similarity("es", "ES", primary=TaskKind.UNTESTED),
    similarity("em", "EM"),
    similarity("es_star", "ES*", **_STAR),
    similarity("em_star", "EM*", **_STAR),
    measure("new_api", "new API used"),
    measure("stale_api", "stale API used", higher_is_better=False),
)  # fmt: skip
"""In the order in which results, tables and exports have them."""


class MetricRegistry:
    """All metrics, in order; `get` also makes those of a family and a task's own measures."""

    def __init__(self, entries: Iterable[Metric | Family]) -> None:
        """Raises `ValueError` where a name is taken twice or two metrics rank one kind of task."""
        self.entries: Final = tuple(entries)
        self._single = {x.name: x for x in self.entries if isinstance(x, Metric)}
        if len(self._single) != sum(isinstance(x, Metric) for x in self.entries):
            raise ValueError("two metrics have one name")
        ranking = [*self._single.values(), _pass_at_k(1)]
        self._primary = {x.primary: x.name for x in ranking if x.primary is not None}
        if len(self._primary) != sum(x.primary is not None for x in ranking):
            raise ValueError("two metrics rank the same kind of task")

    def with_metric(self, added: Metric) -> MetricRegistry:
        """Return a registry with one metric more."""
        return MetricRegistry((*self.entries, added))

    def find(self, name: str) -> Metric | None:
        """Return a metric that is registered, or a member of a family; None for other names."""
        if name in self._single:
            return self._single[name]
        for entry in self.entries:
            if isinstance(entry, Family) and (found := entry.pattern.fullmatch(name)):
                return entry.make(*found.groups())
        return None

    def get(self, name: str) -> Metric:
        """Return a metric; a name that is not known is a task's own measure."""
        return self.find(name) or measure(name)

    def primary(self, kind: TaskKind) -> str:
        """Return the name of the metric that ranks models on a kind of task."""
        return self._primary[kind]

    def of_kind(self, kind: Kind) -> tuple[Metric, ...]:
        """Return the single metrics of a kind, in order."""
        return tuple(x for x in self._single.values() if x.kind is kind)

    def reported(self, problems: Sequence[ProblemResult], ks: Iterable[int]) -> dict[str, Metric]:
        """Return the metrics that these problems have, by name, in order."""
        ks = sorted(set(ks))
        has = {
            Needs.NOTHING: True,
            Needs.TESTS: tested(problems),
            Needs.UPDATE: any(problem.needed_update is not None for problem in problems),
        }
        groups = sorted(
            {name for p in problems if p.passed is not None for name in p.passed_groups}
        )
        found: list[Metric] = []
        for entry in self.entries:
            if isinstance(entry, Metric):
                found += [entry] if entry.kind is not Kind.MEASURE else []
            elif entry.grouped:
                found += [entry.make(group, k) for group in groups for k in ks]
            else:
                found += [entry.make(k) for k in ks]
        chosen = {item.name: item for item in found if has[item.needs]}
        for name in sorted({name for problem in problems for name in problem.measures}):
            known = self._single.get(name)
            chosen[name] = known if known and known.kind is Kind.MEASURE else measure(name)
        return chosen


REGISTRY = MetricRegistry(_BUILTIN)
UNKNOWN_TO_LOGS: Final = ("test_rate", "no_code")
"""Metrics of every run of ours that no log of another harness tells: it has a verdict, and neither
its tests nor whether code was found."""


def metric(name: str) -> Metric:
    """Return a metric by its name; see `MetricRegistry.get`.

    >>> metric("upass@5").label, metric("base_pass@1").label, metric("my_rate").label
    ('UPass@5', 'pass@1 (base)', 'my rate')
    """
    return REGISTRY.get(name)


def reported_metrics(problems: Sequence[ProblemResult], ks: Iterable[int]) -> dict[str, Metric]:
    """Return the metrics that these problems have; see `MetricRegistry.reported`."""
    return REGISTRY.reported(problems, ks)


def label(name: str) -> str:
    """Return a metric's name for people, in running text."""
    return metric(name).label


def similarity_names() -> tuple[str, ...]:
    """Return the names of the similarity metrics, in order."""
    return tuple(item.name for item in REGISTRY.of_kind(Kind.SIMILARITY))


def primary(kind: TaskKind) -> str:
    """Return the metric that ranks models: pass@1, or ES on tasks without tests."""
    return REGISTRY.primary(kind)


def primary_of(estimates: Mapping[str, object]) -> str:
    """Return the metric that ranks, given the metrics that a run has (None: it has no value).

    >>> primary_of({"pass@1": None, "es": {"value": 0.5}})
    'es'
    """
    first, *others = (primary(kind) for kind in TaskKind)
    return next((name for name in (first, *others) if estimates.get(name) is not None), others[-1])


def plain_labels(names: Iterable[str]) -> list[str]:
    """Return the labels of those metrics that are not shown in percent.

    >>> plain_labels(["pass@1", "es_star"])
    ['ES*']
    """
    return [found.label for found in map(metric, names) if found.scale == 1]


def unit_note(names: Iterable[str] | None = None) -> str:
    """Say which metrics are not shown in percent, and their range; of `names`, or of all.

    >>> unit_note()
    'ES* and EM*: -2 to 2'
    """
    known = REGISTRY.entries if names is None else tuple(map(metric, names))
    ranges: dict[Bounds, list[str]] = {}
    for item in known:
        if isinstance(item, Metric) and item.scale == 1:
            ranges.setdefault(item.bounds, []).append(item.label)
    return "; ".join(
        f"{' and '.join(labels)}: {low:g} to {high:g}" for (low, high), labels in ranges.items()
    )


# What the views show, where a task has it. A metric joins a view by a name in one of these.

OVERVIEW: Final = ("pass@1", "pass@5", "upass@1", "es")
"""Columns of the leaderboard; the pages of models have every metric."""
METHODS: Final = ("pass@1", "pass@5", "upass@1", "es_star")
"""What ways of training are compared by."""
TRAINED: Final = (*METHODS, "stale_api")
"""What the arms of `recode-train compare` are compared by."""
WHILE_TRAINING: Final = ("pass@1", "em", "es")
"""What the log of a training says of an evaluated checkpoint."""
BREAKDOWN: Final = ("pass@1", "upass@1", "test_rate", "es_star")
"""Columns of a run's table by tag, most important first."""


def downloaded() -> tuple[str, ...]:
    """Return the metrics of the leaderboard's CSV: those of the overview, then all others."""
    names: list[str] = []
    for entry in REGISTRY.entries:
        if isinstance(entry, Family):
            names += [] if entry.grouped else [entry.make(k).name for k in DEFAULT_KS]
        elif entry.kind is not Kind.MEASURE:
            names.append(entry.name)
    return tuple(dict.fromkeys((*OVERVIEW, *names)))
