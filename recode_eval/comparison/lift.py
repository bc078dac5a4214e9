"""Does documentation help, and which? The arms of one model on one task, paired problem by problem.

Runs that differ in nothing but what the prompt tells of the update (`--docs`) are the arms of one
*lift*. Every arm is compared with the references `none` and `note`. Holm's correction goes over the
primary metric of all arms, references, models and tasks at once (`differences`); the question
whether an arm stops the old API (`stale_api`) and all other metrics are exploratory, and so is the
breakdown by tag, whose intervals are not corrected.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.comparison.comparability import model_key
from recode_eval.comparison.differences import compare, difference
from recode_eval.comparison.pairing import paired
from recode_eval.conversations.settings import described
from recode_eval.documentation.arms import arm_of
from recode_eval.errors import UsageError
from recode_eval.metrics import primary_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.comparison.differences import Comparison, MetricDifference
    from recode_eval.run.results_file import ResultsFile

REFERENCES: Final = ("none", "note")
METRICS: Final = ("pass@1", "stale_api", "new_api", "upass@1", "no_code")
"""What is compared unless other metrics are named: the primary one, whether the old API stops,
whether the new one is used, and the form."""
_ABOUT_DOCS: Final = frozenset({"update_note", "docs", "problems", "clusters"})
"""Differences that are what a lift is about, or follow from it: an arm leaves out problems that it
has no text for, and only the problems of both sides are paired."""
_ORDER: Final = (
    "none",
    "note",
    "signature",
    "changelog",
    "wrong-version",
    "mixed",
)


@dataclass(frozen=True, slots=True)
class ArmRun:
    """One arm: its run, and what a sample of it takes."""

    name: str
    run: ResultsFile

    @property
    def prompt_tokens(self) -> float | None:
        """Tokens of the prompt, a mean over samples; None where the back-end does not say."""
        return self.run.per_sample("prompt_tokens")

    @property
    def completion_tokens(self) -> float | None:
        """Tokens of the answer, a mean over samples."""
        return self.run.per_sample("completion_tokens")

    @property
    def left_out(self) -> int:
        """Problems that cannot run here, or that the arm has no text for."""
        return len(self.run.results.task.skipped)


@dataclass(frozen=True, slots=True)
class GroupEffect:
    """The primary metric on the problems with one value of a tag."""

    tag: str
    value: str
    difference: MetricDifference


@dataclass(frozen=True, slots=True)
class Effect:
    """One arm against one reference."""

    arm: str
    reference: str
    comparison: Comparison
    """The reference is its baseline; the primary metric comes first."""
    groups: tuple[GroupEffect, ...]

    @property
    def primary(self) -> MetricDifference:
        """The difference in the metric that ranks."""
        return self.comparison.differences[0]

    def metric(self, name: str) -> MetricDifference | None:
        """Return another difference, if both runs have the metric."""
        found = (item for item in self.comparison.differences if item.metric == name)
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Lift:
    """The arms of one model on one task, and their effects."""

    model: str
    """Its name; hostile text."""
    task: str
    seed: int
    arms: tuple[ArmRun, ...]
    effects: tuple[Effect, ...]

    def arm(self, name: str) -> ArmRun | None:
        """Return an arm by its name."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def sampling(self) -> str:
        """Samples per problem and seed, in words."""
        seed = f", seed {self.seed}" if self.seed else ""
        return f"n = {self.arms[0].run.n}{seed}"

    @property
    def conversation(self) -> str:
        """Turns and tools in words, empty where every answer stands alone; hostile text."""
        identity = self.arms[0].run.results.identity
        return described(identity["conversation"]) if "conversation" in identity else ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags by which effects are broken down."""
        return tuple(dict.fromkeys(group.tag for x in self.effects for group in x.groups))


def lifts(
    runs: Sequence[ResultsFile],
    *,
    references: Sequence[str] = REFERENCES,
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
    strict: bool = True,
) -> list[Lift]:
    """Group runs into lifts and compare the arms of each.

    `metrics` defaults to `METRICS` and the primary one of each task; the primary one is always
    among them. A reference that was not run is left out. Unless `strict`, the first run of an arm
    counts, and there may be nothing to compare.

    Raises:
        UsageError: no model has two arms one of which is a reference, or an arm was run twice with
            the same settings.
    """
    groups = [arms for arms in _grouped(runs, strict=strict) if len(arms) > 1]
    plans: list[tuple[tuple[ArmRun, ...], ArmRun, ArmRun]] = []
    for arms in groups:
        known = {arm.name: arm for arm in arms}
        plans += [
            (arms, known[name], arm)
            for name in dict.fromkeys(references)
            if name in known
            # Of two references, the first is the baseline.
            for arm in arms
            if arm.name != name and not (arm.name in references and _later(name, arm.name))
        ]
    if not plans and not strict:
        return []
    if not plans:
        found = ", ".join(sorted({arm_of(run.results) for run in runs})) or "no run"
        raise UsageError(
            f"There are no two arms of one model to compare (found: {found}). Run them with "
            f"--docs {references[0]},ARM, and name all runs, or the folder given with --out."
        )
    pairs = [(reference.run, arm.run) for _, reference, arm in plans]
    names = None if metrics is None else tuple(metrics)
    comparisons = compare(
        pairs,
        _with_primary(names, runs),
        confidence,
        expected=_ABOUT_DOCS,
        asked=names is not None,
    )
    effects: dict[int, list[Effect]] = defaultdict(list)
    for (arms, reference, arm), comparison in zip(plans, comparisons, strict=True):
        if comparison.differences:
            broken_down = _groups(comparison, confidence)
            effects[id(arms)].append(Effect(arm.name, reference.name, comparison, broken_down))
    return [
        Lift(
            arms[0].run.model,
            arms[0].run.task,
            arms[0].run.results.sampling.seed,
            arms,
            tuple(effects[id(arms)]),
        )
        for arms in groups
        if effects[id(arms)]
    ]


def left_out(runs: Sequence[ResultsFile], found: Sequence[Lift]) -> list[str]:
    """Say which runs are in no lift: no other run differs from them in its arm alone."""
    used = {id(arm.run) for item in found for arm in item.arms}
    return [
        f"left out: {run.source} (arm {arm_of(run.results)} of {run.model} on {run.task}): no "
        "other arm of the same model (weights, server, file) with the same settings"
        for run in runs
        if id(run) not in used
    ]


def _later(one: str, other: str) -> bool:
    """Whether of two references `one` comes later in the usual order."""
    return arm_order(one) > arm_order(other)


def arm_order(arm: str) -> tuple[int, str]:
    """Return the sort key of an arm's name: the usual order, then all others by name.

    >>> sorted(["signature", "file:a", "note", "none"], key=arm_order)
    ['none', 'note', 'signature', 'file:a']
    """
    return (_ORDER.index(arm) if arm in _ORDER else len(_ORDER), arm)


def _with_primary(names: Sequence[str] | None, runs: Sequence[ResultsFile]) -> list[str]:
    """Return the metrics to compare; the primary one of every run comes first."""
    primaries = dict.fromkeys(primary_of(run.results.metrics) for run in runs)
    if names is None:
        names = [name for name in METRICS if any(_has(run, name) for run in runs)]
    return list(dict.fromkeys([*primaries, *names]))


def _has(run: ResultsFile, name: str) -> bool:
    return any(value is not None for value in run.values(name).values())


def _grouped(runs: Sequence[ResultsFile], *, strict: bool) -> list[tuple[ArmRun, ...]]:
    """Return the runs that differ in their arm alone, each group in the order of arms."""
    groups: dict[str, dict[str, ArmRun]] = defaultdict(dict)
    for run in runs:
        arm, key = arm_of(run.results), _key(run)
        if arm in groups[key] and not strict:
            continue
        if arm in groups[key]:
            raise UsageError(
                f"The arm {arm} of {run.model} on {run.task} is there twice: "
                f"{groups[key][arm].run.source} and {run.source}. Name one of them."
            )
        groups[key][arm] = ArmRun(arm, run)
    return [
        tuple(sorted(members.values(), key=lambda arm: arm_order(arm.name)))
        for members in groups.values()
    ]


def _key(run: ResultsFile) -> str:
    """Return what the arms of one lift share; other conditions are told as cautions."""
    results = run.results
    about = {"update_note", "docs", "model"}
    shared = {key: value for key, value in results.identity.items() if key not in about}
    return json.dumps([shared, model_key(results), run.n], sort_keys=True)


def _groups(comparison: Comparison, confidence: float) -> tuple[GroupEffect, ...]:
    """Break the primary metric down by the tags that the task reports."""
    a, b = comparison.baseline, comparison.candidate
    name = comparison.differences[0].metric
    bounds = a.metrics[name].bounds
    pairs = paired(a, b, name)
    found: list[GroupEffect] = []
    for tag in a.results.breakdown:
        values: dict[str, list[int]] = defaultdict(list)
        for index, key in enumerate(pairs.ids):
            values[a.scores[key].tags.get(tag, "")].append(index)
        if len(values) < 2:
            continue
        for value, places in sorted(values.items()):
            item = difference(
                name,
                [pairs.baseline[i] for i in places],
                [pairs.candidate[i] for i in places],
                [pairs.clusters[i] for i in places],
                bounds=bounds,
                confidence=confidence,
            )
            if item is not None:
                found.append(GroupEffect(tag, value, item))
    return tuple(found)


def cost_of(run: ResultsFile, name: str) -> float | None:
    """Return `per_sample` or `per_solved` of a run's cost; None where it is not known."""
    cost = run.results.usage.cost
    return None if cost is None else cost[name]


def currency_of(run: ResultsFile) -> str | None:
    """Return the currency of a run's cost; hostile text."""
    cost = run.results.usage.cost
    return None if cost is None else cost.currency
