"""What stored runs say about a gate before it is held: their problems, clusters and variances.

One run shows how much its samples vary within a problem; how far problems move between equally good
checkpoints it cannot show, so that is assumed. Two runs show both.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.comparison.pairing import paired
from recode_eval.errors import UsageError
from recode_eval.metrics import TaskKind, metric, primary
from recode_eval.schemas.plan import SCHEMA_VERSION
from recode_eval.stats.estimates import minimum_detectable_difference
from recode_eval.stats.planning import (
    DECENT,
    MOST_SAMPLES,
    TARGET,
    Design,
    Rule,
    Variation,
    enough_samples,
    margin_for,
    pass_chance,
    problems_for,
    regress_chance,
    samples_for,
    seeds_for,
    standard_error,
)
from recode_eval.stats.sparse import clusters_for, smallest_decidable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.gating.policy import Policy
    from recode_eval.run.results_file import ResultsFile

_TWO_SIDED: Final = 0.05
"""The level of the power that a comparison states."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A gate that may be held: what it compares, and what it asks for."""

    task: str | None
    source: str
    """Where the variances come from, for people."""
    design: Design
    variation: Variation
    rate: float | None
    rule: Rule
    loss: float
    """The true drop that should be found, as a share of 1."""

    def to_json(self, samples: Sequence[int], seed_sd: float | None = None) -> dict[str, Any]:
        """Return the content of `--json`; `samples` are the numbers per problem and side."""
        design, variation, rule = self.design, self.variation, self.rule
        many = max(samples)
        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.task,
            "source": self.source,
            "problems": design.problems,
            "clusters": design.clusters,
            "rate": self.rate,
            "noise": variation.noise,
            "change": variation.change,
            "together": variation.together,
            "margin": rule.margin,
            "alpha": rule.alpha,
            "loss": self.loss,
            "target": TARGET,
            "smallest_margin": smallest_decidable(design.clusters, rule.alpha, rule.reach),
            "enough_samples": enough_samples(design, variation),
            "advice": self._advice(samples),
            "samples": [self._row(n) for n in (*samples, None)],
            "seeds": None if seed_sd is None else self._seeds(seed_sd, many),
        }

    def _row(self, n: int | None) -> dict[str, Any]:
        many = math.inf if n is None else n
        facts = self.design, self.variation
        return {
            "n": n,
            "standard_error": standard_error(*facts, many),
            "pass_if_equal": pass_chance(*facts, self.rule, many),
            "regress_if_worse": regress_chance(*facts, self.rule, many, drop=self.loss),
            "margin_for_target": margin_for(*facts, self.rule, many),
            "problems_for_target": problems_for(*facts, self.rule, many),
        }

    def _advice(self, samples: Sequence[int]) -> str:
        n = 10 if 10 in samples else max(samples)
        chance = pass_chance(self.design, self.variation, self.rule, n)
        text = f"With {n} samples an equally good model passes in {chance_text(chance)} of cases"
        if chance >= TARGET:
            return f"{text}."
        return f"{text}; {what_helps(self.design, self.variation, self.rule, n)}."

    def _seeds(self, seed_sd: float, n: int) -> dict[str, Any]:
        error = standard_error(self.design, self.variation, n)
        return {
            "seed_sd": seed_sd,
            "n": n,
            "seeds": seeds_for(error, self.design.effective, seed_sd, self.loss),
        }


def design_of(run: ResultsFile) -> Design:
    """Return the tested problems of a run; raises `UsageError` for fewer than two clusters."""
    sizes = Counter(score.cluster for score in run.scores.values() if score.passed is not None)
    if len(sizes) < 2:
        raise UsageError(f"{run.source}: a plan needs tested problems in at least two clusters.")
    return Design(tuple(sizes.values()))


def rate_of(run: ResultsFile) -> float:
    """Return the mean pass rate, 0 to 1, kept off both ends by half a problem."""
    rates = [score.passed / score.n for score in run.scores.values() if score.passed is not None]
    least = 0.5 / len(rates)
    return min(max(math.fsum(rates) / len(rates), least), 1 - least)


def noise_of(run: ResultsFile) -> float | None:
    """Return the variance of one sample's verdict within a problem; None without two samples.

    The mean of c (n - c) / (n (n - 1)) over the problems, which is unbiased.
    """
    found = [
        score.passed * (score.n - score.passed) / (score.n * (score.n - 1))
        for score in run.scores.values()
        if score.passed is not None and score.n > 1
    ]
    return math.fsum(found) / len(found) if found else None


def variation_of(run: ResultsFile) -> Variation:
    """Return what one run shows of its variances, and what must be assumed of them."""
    assumed, noise = Variation.assumed(rate_of(run)), noise_of(run)
    return assumed if noise is None else Variation(noise, assumed.change)


def variation_between(a: ResultsFile, b: ResultsFile) -> Variation:
    """Return the variances that two runs of the same problems show.

    The problems' true change is what sampling does not explain of the changes' variance, and its
    correlation within clusters is that of the changes. Raises `UsageError` without two samples per
    problem, or without common problems.
    """
    noises = noise_of(a), noise_of(b)
    if noises[0] is None or noises[1] is None:
        raise UsageError("A plan from two runs needs at least two samples per problem of both.")
    pairs = paired(a, b, primary(TaskKind.TESTED))
    if len(pairs.ids) < 2:
        raise UsageError(f"{a.source} and {b.source} have fewer than two problems in common.")
    gains = [new - old for old, new in zip(pairs.baseline, pairs.candidate, strict=True)]
    mean = math.fsum(gains) / len(gains)
    groups: dict[str, list[float]] = {}
    for gain, cluster in zip(gains, pairs.clusters, strict=True):
        groups.setdefault(cluster, []).append(gain - mean)
    squares = math.fsum((gain - mean) ** 2 for gain in gains)
    sampled = noises[0] / a.n + noises[1] / b.n
    change = max(0.0, squares / (len(gains) - 1) - sampled)
    couples = sum(len(group) * (len(group) - 1) for group in groups.values())
    shared = math.fsum(math.fsum(group) ** 2 for group in groups.values()) - squares
    together = shared / couples / change if couples and change else 0.0
    return Variation((noises[0] + noises[1]) / 2, change, min(1.0, max(0.0, together)))


def chance_notes(a: ResultsFile, b: ResultsFile, policy: Policy) -> list[str]:
    """Warn where an equally good model would pass too seldom, and say what would help.

    For pass@1; other metrics do not have the counts that split their variance.
    """
    name = primary(TaskKind.TESTED)
    points = policy.metrics(a.task).get(name)
    if points is None or min(a.n, b.n) < 2 or not a.tested:
        return []
    notes = []
    if a.results.sampling.temperature == 0:
        notes.append(
            "temperature 0: the samples of a problem are copies of one answer, so the interval is "
            "that of a single sample, and more of them do not narrow it"
        )
    try:
        design, variation = design_of(a), variation_between(a, b)
    except UsageError:  # the comparison itself says what is wrong
        return notes
    rule = Rule(points / 100, policy.level)
    chance = pass_chance(design, variation, rule, a.n)
    if chance >= DECENT:
        return notes
    size = f"{a.n} samples of {design.problems} problems in {design.clusters} clusters"
    text = (
        f"an equally good model passes this gate in only {chance_text(chance)} of cases ({size}, "
        f"margin {metric(name).show(rule.margin)}); {what_helps(design, variation, rule, a.n)}"
    )
    return [*notes, text]


def power_note(a: ResultsFile, b: ResultsFile, task: str | None = None) -> str | None:
    """Say which true difference in pass@1 such a comparison finds, and what samples could add.

    `task` is its name in the form to show (the run's own). None where the runs cannot tell: a task
    without tests, problems of one cluster, or one sample of most problems.
    """
    if not (a.tested and b.tested):
        return None
    name = a.task if task is None else task
    counts = " and ".join(dict.fromkeys((str(a.n), str(b.n))))
    if min(a.n, b.n) == 1:
        more = not any(run.n == 1 and _deterministic(run) for run in (a, b))
        advice = "; use --n 10" if more else ""
        return f"n = {counts} on {name}: no estimate of sampling noise and no power{advice}"
    try:
        design, variation = design_of(a), variation_between(a, b)
    except UsageError:
        return None

    def detectable(n: float, baseline_n: float | None = None) -> float:
        error = standard_error(design, variation, n, baseline_n)
        return minimum_detectable_difference(error, clusters=design.effective) if error else 0.0

    shown = metric(primary(TaskKind.TESTED))
    where = f"{design.problems} problems in {design.clusters} clusters"
    found, limit = shown.show(detectable(b.n, a.n)), shown.show(detectable(math.inf))
    nothing = shown.show(0.0)
    if found == nothing:
        bound = shown.show(smallest_decidable(design.clusters, _TWO_SIDED / 2))
        return (
            f"no power in {shown.label} on {name}: the samples of each problem agree and all "
            f"problems changed alike; {where} without a change exclude a true difference of "
            f"{bound} points or more ({100 * _TWO_SIDED:g} %, two-sided)"
        )
    text = (
        f"{counts} samples of {where} find a true difference of {found} points in {shown.label} on "
        f"{name} with 80 % power ({100 * _TWO_SIDED:g} %, two-sided)"
    )
    return text if limit == nothing else f"{text}; no number of samples finds less than {limit}"


def _deterministic(run: ResultsFile) -> bool:
    """Tell whether more samples of this run would be copies."""
    from recode_eval.models.backends import backend_facts

    return backend_facts(run.results.model.backend).deterministic


def chance_text(chance: float) -> str:
    """Return a chance in whole percent, or in tenths where whole ones would claim a limit.

    The limits are those that decide, `DECENT` and `TARGET`.

    >>> chance_text(0.823), chance_text(0.7996), chance_text(0.8)
    ('82 %', '79.9 %', '80 %')
    """
    whole = round(100 * chance)
    if any(chance < limit <= whole / 100 for limit in (DECENT, TARGET)):
        return f"{math.floor(1000 * chance) / 10:.1f} %"
    return f"{whole} %"


def margin_text(margin: float) -> str:
    """Return a margin that would do in points, rounded up: the one that is shown must do too.

    >>> margin_text(0.0904), margin_text(0.07)
    ('9.1', '7.0')
    """
    return f"{math.ceil(round(1000 * margin, 6)) / 10:.1f}"


def what_helps(design: Design, variation: Variation, rule: Rule, n: int) -> str:
    """Say which margin, problems or samples let an equally good model pass 8 times of 10."""
    goal = f"{100 * TARGET:.0f} %"
    texts = []
    margin = margin_for(design, variation, rule, n)
    if margin < rule.reach:
        texts.append(f"a margin of {margin_text(margin)} points")
    problems = problems_for(design, variation, rule, n)
    if problems is not None:
        texts.append(f"{problems} such problems")
    too_small = _too_small(design, rule)
    samples = None if too_small else samples_for(design, variation, rule, least=n + 1)
    if samples is not None:
        texts.append(f"{samples} samples per problem")
    *most, last = texts or ["no margin and no number of problems"]
    listed = f"{', '.join(most)}{',' if len(most) > 1 else ''} or {last}" if most else last
    text = f"{listed} make{'s' if len(texts) == 1 and margin < rule.reach else ''} it {goal}"
    if too_small:
        return f"{too_small}; {text}, more samples do not"
    return text if samples is not None else f"{text}, {_no_samples(design, variation, rule)}"


def _too_small(design: Design, rule: Rule) -> str:
    """Say that the clusters cannot decide the margin, whatever the samples; '' where they can."""
    least = smallest_decidable(design.clusters, rule.alpha, rule.reach)
    if rule.margin > least:
        return ""
    return (
        f"the margin of {100 * rule.margin:.1f} points is below the smallest that "
        f"{design.clusters} clusters can decide ({100 * least:.1f} points; "
        f"{clusters_for(rule.margin, rule.alpha, rule.reach)} clusters could)"
    )


def _no_samples(design: Design, variation: Variation, rule: Rule) -> str:
    chance = pass_chance(design, variation, rule, math.inf)
    if chance >= TARGET:
        return f"up to {MOST_SAMPLES} samples per problem do not"
    return (
        f"more samples do not ({chance_text(chance)} with any number: the problems' own changes "
        "dominate)"
    )
