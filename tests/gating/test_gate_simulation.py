"""The gate and its intervals on simulated models whose true difference is known.

670 problems in 161 clusters, as the arena has. A new checkpoint flips some of the problems that are
solved mostly or rarely, more of them together within a cluster. How many, and how many problems are
in between, is chosen such that the paired difference has the standard error that the operating
table of docs/ci.md stands for: 1.15 points with ten samples per problem, 2.15 with one.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from recode_eval.comparison.differences import change, lower_tail_p, sign_flip_p
from recode_eval.gating.rule import Verdict, grade

pytestmark = pytest.mark.slow

PROBLEMS, CLUSTERS = 670, 161
HIGH, MIDDLE, LOW = 0.9, 0.5, 0.1
SHARES = {HIGH: 0.47, MIDDLE: 0.22, LOW: 0.31}
CHURN = 0.102
"""Share of all problems that a new checkpoint solves or unsolves."""
TOGETHER = 0.02
"""How much of that is shared within a cluster (variance of the cluster's rate over its most)."""
SEED = 20261122


def clusters(rng: np.random.Generator) -> np.ndarray:
    sizes = np.ones(CLUSTERS, dtype=int) + rng.multinomial(
        PROBLEMS - CLUSTERS, np.full(CLUSTERS, 1 / CLUSTERS)
    )
    return np.repeat(np.arange(CLUSTERS), sizes)


def checkpoints(
    rng: np.random.Generator, groups: np.ndarray, points: float, runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pass rates per problem before and after, `runs` x 670; they differ by `points` / 100."""
    states = np.array(list(SHARES))
    before = rng.choice(states, p=list(SHARES.values()), size=(runs, PROBLEMS))
    # Lost minus gained is the true difference, lost plus gained the churn.
    drop = -points / 100 / (HIGH - LOW)
    lost, gained = (CHURN + drop) / 2, (CHURN - drop) / 2

    def rates(mean: float) -> np.ndarray:
        spread = 1 / TOGETHER - 1
        return rng.beta(mean * spread, (1 - mean) * spread, size=(runs, CLUSTERS))[:, groups]

    draw = rng.random((runs, PROBLEMS))
    after = np.where((before == HIGH) & (draw < rates(lost / SHARES[HIGH])), LOW, before)
    after = np.where((before == LOW) & (draw < rates(gained / SHARES[LOW])), HIGH, after)
    return before, after


def changes(
    rng: np.random.Generator, groups: np.ndarray, points: float, draws: tuple[int, ...], runs: int
) -> list[np.ndarray]:
    """Draw differences of pass@1 per problem, `runs` x 670; their true mean is `points` / 100.

    One array for each of `draws`, the samples per problem: the same models asked again.
    """
    before, after = checkpoints(rng, groups, points, runs)
    return [(rng.binomial(n, after) - rng.binomial(n, before)) / n for n in draws]


def simulate(points: float, n: int, runs: int) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(SEED)
    groups = clusters(rng)
    (rows,) = changes(rng, groups, points, (n,), runs)
    return rows, groups.tolist()


def gate(row: np.ndarray, groups: list[str], level: float = 0.05) -> Verdict:
    estimate = change(row.tolist(), groups, bounds=(0, 1), confidence=1 - 2 * level)
    return grade(estimate, 0.03, lower_tail_p(estimate), level)[0]


@pytest.mark.parametrize(("n", "error"), [(1, 2.15), (10, 1.15)])
def test_the_simulated_models_are_as_uncertain_as_they_should_be(n: int, error: float) -> None:
    rows, _ = simulate(0, n, 3_000)
    assert 100 * rows.mean(axis=1).std() == pytest.approx(error, abs=0.06)
    assert abs(100 * rows.mean()) < 0.1


@pytest.mark.parametrize(
    ("points", "expected"),
    [(0, (83, 13, 4)), (-3, (6, 13, 82)), (-5, (0.1, 0.3, 99.6))],
)
def test_the_operating_table(points: float, expected: tuple[float, float, float]) -> None:
    """Both tables are simulations: theirs is rounded, ours has an error of three sigma."""
    runs = 2_000
    rows, groups = simulate(points, 10, runs)
    counts = Counter(gate(row, groups) for row in rows)
    found = [counts[v] / runs for v in (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REGRESS)]
    print(points, found)
    for share, percent in zip(found, expected, strict=True):
        true = percent / 100
        sigma = np.sqrt(max(true * (1 - true), 1 / runs) / runs)
        assert abs(share - true) < 3 * np.sqrt(2) * sigma + 0.005


def test_one_sample_per_problem_cannot_tell() -> None:
    """A true 0 passes only 39 % of the time: the reason why the gate refuses n = 1."""
    rows, groups = simulate(0, 1, 1_000)
    passed = sum(gate(row, groups) is Verdict.PASS for row in rows) / 1_000
    print(passed)
    assert passed == pytest.approx(0.39, abs=0.06)


@pytest.mark.parametrize(("points", "wrong"), [(0, Verdict.REGRESS), (-3, Verdict.PASS)])
def test_a_rerun_does_not_raise_the_errors(points: float, wrong: Verdict) -> None:
    """Two looks at the full level would err more often than alpha; each has half of it."""
    runs = 1_500
    rng = np.random.default_rng(SEED)
    groups = clusters(rng)
    parts = changes(rng, groups, points, (10, 10), runs)
    names = groups.tolist()
    counts: Counter[Verdict] = Counter()
    for first, second in zip(*parts, strict=True):
        verdict = gate(first, names, 0.025)
        if verdict is Verdict.INCONCLUSIVE:
            verdict = gate((first + second) / 2, names, 0.025)
        counts[verdict] += 1
    print(points, {key: value / runs for key, value in counts.items()})
    assert counts[wrong] / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_comparison_of_two_numbers_fires_on_half_of_all_unchanged_models() -> None:
    rows, _ = simulate(0, 10, 1_000)
    assert (rows.mean(axis=1) < 0).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("points", [0, -3])
def test_the_interval_covers_the_true_difference(points: float, confidence: float) -> None:
    runs = 2_000
    rows, groups = simulate(points, 10, runs)
    hits = 0
    for row in rows:
        found = change(row.tolist(), groups, bounds=(0, 1), confidence=confidence)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= points / 100 <= found.high
    print(points, confidence, hits / runs)
    assert hits / runs == pytest.approx(confidence, abs=0.02)


def test_without_clusters_there_are_more_false_alarms() -> None:
    """The reason for clustering: problems of one update move together."""
    rng = np.random.default_rng(SEED)
    groups = clusters(rng)
    shared = rng.normal(0, 0.05, size=(1_000, CLUSTERS))[:, groups]
    rows = np.clip(shared + rng.normal(0, 0.15, size=shared.shape), -1, 1)

    def alarms(names: list[int]) -> float:
        estimates = (change(row.tolist(), names, bounds=(0, 1), confidence=0.95) for row in rows)
        return sum(not e.low <= 0 <= e.high for e in estimates) / len(rows)

    clustered, unclustered = alarms(groups.tolist()), alarms(list(range(PROBLEMS)))
    print(clustered, unclustered)
    assert clustered == pytest.approx(0.05, abs=0.02)
    assert unclustered > 0.08


def test_the_sign_flip_test_keeps_its_level() -> None:
    rng = np.random.default_rng(SEED)
    p_values = [
        sign_flip_p(rng.normal(size=40).tolist(), (np.arange(40) % 12).tolist()) for _ in range(300)
    ]
    assert np.mean([p <= 0.05 for p in p_values]) == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize("fall", [0.25, 0.75, 1.0])
@pytest.mark.parametrize("count", [4, 8, 20])
def test_clusters_that_all_fell_alike_raise_few_false_alarms(fall: float, count: int) -> None:
    """No true difference: most clusters fall a little, few rise as far as possible.

    These are the models whose samples come out all alike the most often.
    """
    runs = 4_000
    rng = np.random.default_rng(SEED)
    rises = rng.random((runs, count)) < fall / (1 + fall)
    alike = int((~rises.any(axis=1)).sum())
    verdict = gate(np.full(count, -fall), [str(i) for i in range(count)])
    wrong = alike / runs if verdict is Verdict.REGRESS else 0.0
    print(fall, count, alike / runs, verdict)
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("count", [20, 98, 99, 160])
def test_clusters_without_a_change_rarely_hide_a_drop_of_the_margin(count: int) -> None:
    """A true -3 of whole clusters that break: often none of them is among those drawn."""
    runs = 4_000
    rng = np.random.default_rng(SEED)
    unchanged = (rng.random((runs, count)) >= 0.03).all(axis=1).mean()
    verdict = gate(np.zeros(count), [str(i) for i in range(count)])
    wrong = unchanged if verdict is Verdict.PASS else 0.0
    print(count, unchanged, verdict)
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("rate", [0.5, 0.9])
@pytest.mark.parametrize("count", [3, 10, 40])
def test_equal_models_with_few_samples_rarely_regress(rate: float, count: int) -> None:
    """Two samples per problem: equal changes everywhere are frequent where problems are few."""
    runs = 2_000
    rng = np.random.default_rng(SEED)
    rows = (rng.binomial(2, rate, (runs, count)) - rng.binomial(2, rate, (runs, count))) / 2
    names = [str(i) for i in range(count)]
    wrong = sum(gate(row, names) is Verdict.REGRESS for row in rows) / runs
    print(rate, count, wrong)
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
