"""The two questions an interval answers, against simulations and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.scoring.pass_at_k import pass_at_k, pass_at_k_variance
from recode_eval.stats.estimates import cluster_t
from recode_eval.stats.variance import new_samples, shares

UNIT = (0.0, 1.0)


@pytest.mark.parametrize(("n", "k"), [(4, 1), (6, 1), (6, 3), (9, 5)])
def test_the_variance_of_pass_at_k_is_the_jackknife_over_samples(n: int, k: int) -> None:
    for passed in range(n + 1):
        samples = [True] * passed + [False] * (n - passed)
        without = [pass_at_k(n - 1, passed - one, k) for one in samples]
        mean = sum(without) / n  # type: ignore[arg-type]
        expected = (n - 1) / n * sum((x - mean) ** 2 for x in without)  # type: ignore[operator]
        assert pass_at_k_variance(n, passed, k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_for_pass_at_1_it_is_unbiased(n: int) -> None:
    from scipy.stats import binom

    for chance in (0.1, 0.5, 0.8):
        mean = sum(binom.pmf(c, n, chance) * pass_at_k_variance(n, c) for c in range(n + 1))
        assert mean == pytest.approx(chance * (1 - chance) / n)


def test_too_few_samples_have_no_variance() -> None:
    assert pass_at_k_variance(1, 1) is None
    assert pass_at_k_variance(5, 2, 5) is None
    with pytest.raises(ValueError, match="needs"):
        pass_at_k_variance(2, 3)


@pytest.mark.parametrize("kind", ["mixed", "sure", "all right"])
def test_new_samples_fall_into_the_interval_as_often_as_it_says(kind: str) -> None:
    """The problems stay: `cluster_mean` covers far too often here, and this one 95 %."""
    rng = np.random.default_rng(5)
    problems, n, draws = 60, 10, 3_000
    chance = {
        "mixed": rng.beta(0.5, 0.5, problems),
        "sure": np.where(np.arange(problems) % 2, 0.999, 0.001),
        "all right": np.full(problems, 0.999),
    }[kind]
    truth, held, width = chance.mean(), 0, 0.0
    for passed in rng.binomial(n, chance, size=(draws, problems)):
        variances = [pass_at_k_variance(n, int(c)) or 0.0 for c in passed]
        found = new_samples(passed.mean() / n, variances, n * problems, 0.95, UNIT)
        held += found.low <= truth <= found.high
        width += found.high - found.low
    assert held / draws >= 0.95 - 3 * (0.95 * 0.05 / draws) ** 0.5 - 0.01
    assert width / draws < 0.06


def test_a_difference_of_new_samples_covers_too() -> None:
    rng = np.random.default_rng(6)
    problems, n, draws = 60, 5, 3_000
    old, new = rng.beta(0.5, 0.5, problems), rng.beta(0.5, 0.5, problems)
    truth, held = (new - old).mean(), 0
    for _ in range(draws):
        counts = rng.binomial(n, old), rng.binomial(n, new)
        variances = [
            (pass_at_k_variance(n, int(a)) or 0) + (pass_at_k_variance(n, int(b)) or 0)
            for a, b in zip(*counts, strict=True)
        ]
        mean = float((counts[1] - counts[0]).mean()) / n
        found = new_samples(mean, variances, n * problems, 0.95, UNIT, difference=True)
        held += found.low <= truth <= found.high
    assert held / draws == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / draws) ** 0.5 + 0.005)


def test_the_split_finds_where_simulated_variance_comes_from() -> None:
    """Clusters, problems and samples with known variances: 40 clusters of 5, normal values."""
    rng = np.random.default_rng(7)
    groups, size, draws = 40, 5, 300
    between, inside, noise = 0.03, 0.05, 0.02
    of = [group for group in range(groups) for _ in range(size)]
    total = between / groups + (inside + noise) / (groups * size)
    expected = [noise / (groups * size) / total, inside / (groups * size) / total]
    found = []
    for _ in range(draws):
        values = rng.normal(0, between**0.5, groups)[of] + rng.normal(
            0, (inside + noise) ** 0.5, groups * size
        )
        error = cluster_t(values.tolist(), of).standard_error
        split = shares(values.tolist(), of, [noise] * len(of), error)
        assert split is not None
        found.append((split.sampling, split.problems, split.clusters))
    sampling, problems, clusters = np.median(found, axis=0)
    assert [sampling, problems] == pytest.approx(expected, abs=0.03)
    assert clusters == pytest.approx(1 - sum(expected), abs=0.04)


values_in_clusters = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 5)), min_size=2, max_size=30
)


@given(values_in_clusters)
def test_shares_are_shares(rows: list[tuple[int, int]]) -> None:
    values, clusters = [c / 10 for c, _ in rows], [cluster for _, cluster in rows]
    variances = [pass_at_k_variance(10, c) or 0.0 for c, _ in rows]
    found = shares(values, clusters, variances, cluster_t(values, clusters).standard_error)
    if found is not None:
        parts = found.sampling, found.problems, found.clusters
        assert sum(parts) == pytest.approx(1)
        assert all(part >= 0 for part in parts)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.sampled_from([0.9, 0.95]))
def test_the_interval_of_new_samples_holds_the_mean(counts: list[int], confidence: float) -> None:
    variances = [pass_at_k_variance(10, c) or 0.0 for c in counts]
    mean = sum(counts) / 10 / len(counts)
    found = new_samples(mean, variances, 10 * len(counts), confidence, UNIT)
    assert 0 <= found.low <= mean <= found.high <= 1
    assert found.low < found.high


def test_clusters_of_one_have_no_share_of_clusters() -> None:
    values = [0.0, 0.5, 1.0, 0.5]
    for clusters in itertools.permutations(range(4)):
        found = shares(values, clusters, [0.01] * 4, cluster_t(values, clusters).standard_error)
        assert found is not None
        assert found.clusters == 0
    # Squared error: (1 / 6) / 4; samples: 4 * 0.01 / 16.
    assert str(found) == "variance: 6 % sampling, 94 % problems, 0 % clusters"
