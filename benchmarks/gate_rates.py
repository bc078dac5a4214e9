"""How often the gate is right: every simulated figure of README.md, docs/ci.md and the policy.

    python benchmarks/gate_rates.py [--runs 2000] [--trainings 400] [--only PART[,PART]]

The rule is the gate's own. The checkpoints are simulated, so that the true difference is known: a
new checkpoint flips 10 % of the problems between pass rates of 0.9 and 0.1, a little more of them
together within a cluster, and everything else keeps its rate (0.9, 0.5 or 0.1). `broken` models
lose the margin otherwise: whole clusters of them fall to 0, as when an update is forgotten.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recode_eval.comparison.differences import change
from recode_eval.gating.policy import load_policy
from recode_eval.gating.rule import Verdict, evidence, grade, grade_evidence
from recode_eval.gating.spending import Spending
from recode_eval.stats.planning import Design, Rule, Variation, pass_chance
from recode_eval.stats.sequential import adjusted_p, default_looks, nominal_levels, planned_times
from recode_eval.stats.sparse import smallest_decidable

HIGH, MIDDLE, LOW = 0.9, 0.5, 0.1
SHARES = {HIGH: 0.47, MIDDLE: 0.22, LOW: 0.31}
CHURN = 0.102
"""Share of all problems that a new checkpoint solves or unsolves."""
TOGETHER = 0.02
"""How much of that is shared within a cluster (variance of the cluster's rate over its most)."""
SEED = 20261122
N = 10
ALPHA = 0.05
CHECKPOINTS = 50


@dataclass(frozen=True)
class Layout:
    """A task's problems in clusters of random sizes, as many as the task has."""

    task: str
    problems: int
    clusters: int
    pairs: bool = False

    def groups(self, rng: np.random.Generator) -> np.ndarray:
        """Return the cluster of each problem."""
        if self.pairs:
            return np.repeat(np.arange(self.clusters), self.problems // self.clusters)
        more = rng.multinomial(
            self.problems - self.clusters, np.full(self.clusters, 1 / self.clusters)
        )
        return np.repeat(np.arange(self.clusters), 1 + more)

    @property
    def margin(self) -> float:
        """The default policy's, as a share of 1."""
        return load_policy().metrics(self.task)["pass@1"] / 100


LAYOUTS = (
    Layout("arena", 670, 161),
    Layout("migration", 222, 195),
    Layout("arena-mini", 96, 48, pairs=True),
    Layout("humaneval", 164, 164),
    Layout("gitchameleon", 178, 146),
    Layout("arena-multi", 28, 14, pairs=True),
)
GATED = LAYOUTS[:4]


def start(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """Draw a model: a pass rate per problem."""
    return rng.choice(list(SHARES), p=list(SHARES.values()), size=len(groups))


def moved(
    rng: np.random.Generator, groups: np.ndarray, before: np.ndarray, drop: float = 0.0
) -> np.ndarray:
    """Return a later checkpoint, whose expected pass rate is lower by `drop`."""
    # Lost minus gained is the true difference, lost plus gained the churn.
    churn = max(CHURN, drop / (HIGH - LOW))
    lost, gained = (churn + drop / (HIGH - LOW)) / 2, (churn - drop / (HIGH - LOW)) / 2

    def chance(share: float, of: float) -> np.ndarray:
        mean, spread = share / SHARES[of], 1 / TOGETHER - 1
        if not mean:
            return np.zeros(len(groups))
        return rng.beta(mean * spread, (1 - mean) * spread, size=groups.max() + 1)[groups]

    draw = rng.random(len(groups))
    after = np.where((before == HIGH) & (draw < chance(lost, HIGH)), LOW, before)
    return np.where((before == LOW) & (draw < chance(gained, LOW)), HIGH, after)


def broken(
    rng: np.random.Generator, groups: np.ndarray, before: np.ndarray, drop: float
) -> np.ndarray:
    """Return a checkpoint that fails whole clusters: its expected pass rate is lower by `drop`."""
    mean = sum(rate * share for rate, share in SHARES.items())
    lost = rng.random(groups.max() + 1) < drop / mean
    return np.where(lost[groups], 0.0, before)


def solved_or_broken(rng: np.random.Generator, groups: np.ndarray, drop: float) -> np.ndarray:
    """Return the changes of a model that solved everything, and now fails whole clusters."""
    return -(rng.random(groups.max() + 1) < drop)[groups].astype(float)


def fixed(gains: np.ndarray, groups: np.ndarray, margin: float, alpha: float = ALPHA) -> Verdict:
    """Apply the gate's rule to all samples at once."""
    names, values = groups.tolist(), gains.tolist()
    estimate = change(values, names, bounds=(0, 1), confidence=1 - 2 * ALPHA)
    found = evidence(estimate, values, names, margin, ALPHA)
    return grade_evidence(found, margin, found.p_drop, alpha)[0]


def in_looks(
    passed: np.ndarray, baseline: np.ndarray, groups: np.ndarray, margin: float
) -> tuple[Verdict, int]:
    """Apply it in looks; `passed` counts the candidate's samples up to each. Returns the last n."""
    looks, names = default_looks(N, 2), groups.tolist()
    times, information = planned_times(looks), list[float | None]()
    verdict = Verdict.INCONCLUSIVE
    for n, right in zip(looks, passed, strict=True):
        gains = (right / n - baseline).tolist()
        error = change(gains, names, bounds=(0, 1), confidence=0.9).standard_error
        information.append(1 / error**2 if error else None)
        level = nominal_levels(times, information, ALPHA)[-1]
        estimate = change(gains, names, bounds=(0, 1), confidence=1 - 2 * level)
        found = evidence(estimate, gains, names, margin, level)
        p_drop = None if found.p_drop is None else adjusted_p(found.p_drop, times, information)
        verdict = grade_evidence(found, margin, p_drop, ALPHA)[0]
        if verdict is not Verdict.INCONCLUSIVE:
            return verdict, n
    return verdict, N


def rates(counts: Counter[Verdict]) -> str:
    runs = counts.total()
    order = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REGRESS)
    return " | ".join(f"{100 * counts[verdict] / runs:.1f} %" for verdict in order)


def one_gate(runs: int) -> Iterator[str]:
    """The operating table: verdicts by true difference."""
    yield "| task | margin | true difference | pass | inconclusive | regress |"
    for layout in LAYOUTS:
        margin = layout.margin
        cases: list[tuple[str, Callable[..., np.ndarray], float]] = [
            ("0", moved, 0.0),
            (f"-{100 * margin:g}", moved, margin),
            (f"-{100 * margin:g} (whole clusters)", broken, margin),
        ]
        if margin < 0.05:
            cases.append(("-5", moved, 0.05))
        for name, make, drop in cases:
            rng = np.random.default_rng(SEED)
            counts: Counter[Verdict] = Counter()
            for _ in range(runs):
                groups = layout.groups(rng)
                before = start(rng, groups)
                after = make(rng, groups, before, drop)
                gains = (rng.binomial(N, after) - rng.binomial(N, before)) / N
                counts[fixed(gains, groups, margin)] += 1
            yield f"| {layout.task} | {100 * margin:g} | {name} | {rates(counts)} |"
        counts = Counter()
        for _ in range(runs):
            groups = layout.groups(rng)
            counts[fixed(solved_or_broken(rng, groups, margin), groups, margin)] += 1
        name = f"-{100 * margin:g} (whole clusters of a perfect model)"
        yield f"| {layout.task} | {100 * margin:g} | {name} | {rates(counts)} |"


def looks(runs: int) -> Iterator[str]:
    """The same in looks, with the samples that were needed."""
    yield "| task | true difference | pass | inconclusive | regress | samples of 10 |"
    for layout in GATED:
        drops = {0.0, layout.margin, 0.05 if layout.task == "arena" else layout.margin}
        for drop in sorted(drops):
            rng = np.random.default_rng(SEED)
            counts: Counter[Verdict] = Counter()
            samples = 0
            for _ in range(runs):
                groups = layout.groups(rng)
                before = start(rng, groups)
                after = moved(rng, groups, before, drop)
                steps = np.diff([0, *default_looks(N, 2)])
                passed = np.cumsum([rng.binomial(n, after) for n in steps], axis=0)
                baseline = rng.binomial(N, before) / N
                verdict, n = in_looks(passed, baseline, groups, layout.margin)
                counts[verdict] += 1
                samples += n
            yield (f"| {layout.task} | {-100 * drop:g} | {rates(counts)} | {samples / runs:.1f} |")


def equal_models(runs: int) -> Iterator[str]:
    """Identical models with unequal samples; the planned chance to pass against the true one."""
    yield "| task | identical, 10 against 2 samples: regress | planned P(pass) | simulated |"
    for layout in LAYOUTS:
        rng = np.random.default_rng(SEED)
        same, equal = Counter[Verdict](), Counter[Verdict]()
        planned = []
        for _ in range(runs):
            groups = layout.groups(rng)
            before = start(rng, groups)
            gains = rng.binomial(2, before) / 2 - rng.binomial(N, before) / N
            same[fixed(gains, groups, layout.margin)] += 1
            gains = (rng.binomial(N, moved(rng, groups, before)) - rng.binomial(N, before)) / N
            equal[fixed(gains, groups, layout.margin)] += 1
            if len(planned) < 5:
                design = Design(tuple(np.bincount(groups).tolist()))
                variation = Variation(0.1252, CHURN * (HIGH - LOW) ** 2, TOGETHER)
                planned.append(pass_chance(design, variation, Rule(layout.margin), N))
        yield (
            f"| {layout.task} | {100 * same[Verdict.REGRESS] / runs:.1f} % | "
            f"{100 * np.mean(planned):.1f} % | {100 * equal[Verdict.PASS] / runs:.1f} % |"
        )


def single(runs: int) -> Iterator[str]:
    """What simpler rules do on arena: one sample, `candidate < baseline`, and t alone."""
    layout, rng = LAYOUTS[0], np.random.default_rng(SEED)
    passed = lower = 0
    for _ in range(runs):
        groups = layout.groups(rng)
        before = start(rng, groups)
        after = moved(rng, groups, before)
        gains = rng.binomial(1, after) - rng.binomial(1, before)
        passed += fixed(gains, groups, layout.margin) is Verdict.PASS
        lower += gains.sum() < 0
    shares = f"{100 * passed / runs:.0f} % pass, {100 * lower / runs:.0f} % are below the baseline"
    yield f"with one sample {shares}"
    by_t = 0
    for _ in range(runs):
        groups = layout.groups(rng)
        gains, names = solved_or_broken(rng, groups, layout.margin).tolist(), groups.tolist()
        estimate = change(gains, names, bounds=(0, 1), confidence=1 - 2 * ALPHA)
        by_t += grade(estimate, layout.margin, 1.0, ALPHA)[0] is Verdict.PASS
    yield f"t alone passes {100 * by_t / runs:.0f} % that lose the margin in whole clusters"


def smallest(_: int) -> Iterator[str]:
    """The smallest margin that each layout can decide."""
    yield "| task | clusters | smallest decidable margin |"
    for layout in LAYOUTS:
        found = smallest_decidable(layout.clusters, ALPHA)
        yield f"| {layout.task} | {layout.clusters} | {100 * found:.1f} |"


# --- many verdicts of one training

Levels = Callable[[int], float]
LEVELS: dict[str, Levels] = {
    "each checkpoint at alpha": lambda _: ALPHA,
    "alpha 6 / (pi k)^2": lambda k: ALPHA * 6 / (math.pi * k) ** 2,
    "alpha 10 / ((k + 9) (k + 10))": lambda k: ALPHA * Spending(k).regress_share,
}
PAIR_LEVEL = 0.02
"""Of each of two regressions in a row: about 5 % of trainings, if checkpoints are independent."""


def trained(
    rng: np.random.Generator, groups: np.ndarray, resembling: float, drops: list[float]
) -> list[np.ndarray]:
    """Draw the checkpoints of a training; `resembling` is the share of changes that all have."""
    before = start(rng, groups)
    shared = moved(rng, groups, before)
    made = []
    for drop in drops:
        own = moved(rng, groups, before, drop)
        made.append(np.where(rng.random(len(groups)) < resembling, shared, own))
    return [before, *made]


def p_values(rule: str, rates_: list[np.ndarray], groups: np.ndarray, rng: np.random.Generator,
             promotion: Levels) -> list[float]:  # fmt: skip
    """Return each checkpoint's p-value of a drop, against the reference that the rule chooses."""

    def sampled(rate: np.ndarray) -> np.ndarray:
        return rng.binomial(N, rate) / N

    reference, found, names = sampled(rates_[0]), [], groups.tolist()
    for number, rate in enumerate(rates_[1:], 1):
        own = sampled(rate)
        gains = (own - reference).tolist()
        estimate = change(gains, names, bounds=(0, 1), confidence=0.9)
        known = evidence(estimate, gains, names, 0.03, ALPHA)
        assert known.p_drop is not None
        assert known.p_rise is not None
        found.append(known.p_drop)
        if rule == "previous":
            reference = own
        elif rule == "best" and known.p_rise <= promotion(number):
            reference = sampled(rate)
    return found


def false_alarm(p: list[float], level: Levels) -> bool:
    return any(value <= level(k) for k, value in enumerate(p, 1))


def two_in_a_row(p: list[float], level: float) -> bool:
    low = [value <= level for value in p]
    return any(a and b for a, b in pairwise(low))


def trainings(runs: int) -> Iterator[str]:
    """Share of trainings with a false regress among 50 equally good checkpoints."""
    yield "| reference | checkpoints | each at alpha | alpha 6/(pi k)^2 | shared | two in a row |"
    layout = LAYOUTS[0]
    for resembling in (0.0, 0.9):
        for rule in ("stored or first", "previous", "best"):
            rng = np.random.default_rng(SEED)
            alarms: Counter[str] = Counter()
            for _ in range(runs):
                groups = layout.groups(rng)
                made = trained(rng, groups, resembling, [0.0] * CHECKPOINTS)
                halved, p = 2 if rule == "best" else 1, list[float]()
                for name, level in LEVELS.items():
                    each = level(1) == level(50)
                    half = 1 if each else halved

                    def spent(k: int, level: Levels = level, half: int = half) -> float:
                        return level(k) / half

                    if rule == "best" or not p:
                        p = p_values(rule, made, groups, rng, spent)
                    alarms[name] += false_alarm(p, spent)
                alarms["pair"] += two_in_a_row(p, PAIR_LEVEL)
            shown = [f"{100 * alarms[name] / runs:.1f} %" for name in (*LEVELS, "pair")]
            kind = "independent" if not resembling else "90 % alike"
            yield f"| {rule} | {kind} | {' | '.join(shown)} |"


def power(runs: int) -> Iterator[str]:
    """How soon a lasting loss of 5 points is found, by the checkpoint where it begins."""
    yield "| loss begins at | rule | found at once | within 2 | within 3 |"
    layout = LAYOUTS[0]
    for first in (1, 10, 50):
        rng = np.random.default_rng(SEED)
        found: dict[str, np.ndarray] = {name: np.zeros(3) for name in (*LEVELS, "two in a row")}
        for _ in range(runs):
            groups = layout.groups(rng)
            made = trained(rng, groups, 0.0, [0.05] * 3)
            p = p_values("first", made, groups, rng, lambda _: 0.0)
            for name, level in LEVELS.items():
                hits = [value <= level(first + i) for i, value in enumerate(p)]
                found[name] += np.maximum.accumulate(hits)
            low = [value <= PAIR_LEVEL for value in p]
            pairs = [False, *(a and b for a, b in pairwise(low))]
            found["two in a row"] += np.maximum.accumulate(pairs)
        for name, hits in found.items():
            shown = " | ".join(f"{100 * share / runs:.0f} %" for share in hits)
            yield f"| {first} | {name} | {shown} |"


PARTS: dict[str, tuple[Callable[[int], Iterator[str]], bool]] = {
    "gate": (one_gate, False),
    "looks": (looks, False),
    "equal": (equal_models, False),
    "single": (single, False),
    "smallest": (smallest, False),
    "trainings": (trainings, True),
    "power": (power, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--trainings", type=int, default=400)
    parser.add_argument("--only", default=",".join(PARTS))
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        part, of_trainings = PARTS[name]
        print(f"\n{name}: {(part.__doc__ or '').splitlines()[0]}", flush=True)
        for line in part(arguments.trainings if of_trainings else arguments.runs):
            print(line, flush=True)


if __name__ == "__main__":
    main()
