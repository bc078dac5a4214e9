"""Intervals against statsmodels, against simulated data of known truth, and by hand."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.stats.estimates import (
    Estimate,
    IntervalMethod,
    bootstrap_interval,
    cluster_mean,
    minimum_detectable_difference,
)

if TYPE_CHECKING:
    from collections.abc import Callable

UNIT = (0.0, 1.0)


def clustered(
    rng: np.random.Generator, groups: int, mean: float = 0.6
) -> tuple[list[float], list[int]]:
    """Draw pass rates whose clusters share a difficulty; the true mean is `mean`."""
    # The sizes never change between draws, as a benchmark's do not.
    sizes = 1 + np.arange(groups) % 8
    clusters = np.repeat(np.arange(groups), sizes)
    chances = rng.beta(2 * mean, 2 * (1 - mean), size=groups)[clusters]
    return (rng.binomial(10, chances) / 10).tolist(), clusters.tolist()


samples = st.lists(
    st.tuples(st.floats(0, 1, allow_subnormal=False), st.integers(0, 12)), min_size=1, max_size=60
)


def split(sample: list[tuple[float, int]]) -> tuple[list[float], list[int]]:
    return [value for value, _ in sample], [cluster for _, cluster in sample]


# --- against oracles


@pytest.mark.parametrize("groups", [2, 3, 10, 161])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_it_equals_a_regression_on_a_constant_with_clustered_errors(
    groups: int, confidence: float
) -> None:
    from statsmodels.regression.linear_model import OLS

    values, clusters = clustered(np.random.default_rng(groups), groups)
    fit = OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(clusters)}, use_t=True
    )
    found = cluster_mean(values, clusters, confidence)
    ((low, high),) = fit.conf_int(1 - confidence)
    assert found.mean == pytest.approx(fit.params[0])
    assert found.standard_error == pytest.approx(fit.bse[0])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.n, found.clusters) == (len(values), groups)
    assert found.method is IntervalMethod.CLUSTER_T


def test_independent_values_have_the_textbook_interval() -> None:
    from scipy import stats

    values = np.random.default_rng(1).normal(size=30).tolist()
    found = cluster_mean(values, range(30))
    low, high = stats.t.interval(0.95, 29, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_by_hand() -> None:
    # Mean 0.5; residuals of the clusters +0.5, 0, -0.5; SE = sqrt(0.5 * 3/2) / 4.
    found = cluster_mean([1.0, 1.0, 0.0, 0.0], ["a", "b", "b", "c"])
    assert found.mean == 0.5
    assert found.standard_error == pytest.approx(0.75**0.5 / 4)
    assert found.high == pytest.approx(0.5 + 4.302652729911275 * 0.75**0.5 / 4)  # t(2), 97.5 %


@pytest.mark.parametrize("end", [0.0, 1.0])
@pytest.mark.parametrize("groups", [2, 5, 161])
@pytest.mark.parametrize("interval", [cluster_mean, bootstrap_interval])
def test_all_or_nothing_is_clopper_pearson_on_the_clusters(
    interval: Callable[..., Estimate], groups: int, end: float
) -> None:
    """A t-interval of equal values has no width and claims certainty after five problems."""
    from scipy import stats

    found = interval([end] * (3 * groups), [*range(groups)] * 3, 0.95, bounds=UNIT)
    exact = stats.binomtest(int(end * groups), groups).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert found.method is IntervalMethod.CLOPPER_PEARSON
    assert found.standard_error is None


def test_the_exact_interval_is_scaled_to_the_range_of_the_metric() -> None:
    found = cluster_mean([2.0] * 10, range(10), bounds=(-2.0, 2.0))
    assert found.high == 2.0
    assert found.low == pytest.approx(2.0 - 4 * (1 - 0.025**0.1))


# --- where there is no interval


@pytest.mark.parametrize(
    ("values", "clusters", "method", "mean"),
    [
        ([], [], IntervalMethod.NO_VALUES, None),
        ([None, None], [1, 2], IntervalMethod.NO_VALUES, None),
        ([0.5], [1], IntervalMethod.ONE_CLUSTER, 0.5),
        ([0.0, 1.0], [1, 1], IntervalMethod.ONE_CLUSTER, 0.5),
        ([1.0, 1.0], [1, 1], IntervalMethod.ONE_CLUSTER, 1.0),
        ([0.3, 0.3, 0.3], [1, 2, 3], IntervalMethod.NO_SPREAD, 0.3),
        ([0.0, 1.0, 0.0, 1.0], [1, 1, 2, 2], IntervalMethod.NO_SPREAD, 0.5),
    ],
)
@pytest.mark.parametrize("interval", [cluster_mean, bootstrap_interval])
def test_no_interval_is_said_and_not_made_up(
    interval: Callable[..., Estimate],
    values: list[float | None],
    clusters: list[int],
    method: IntervalMethod,
    mean: float | None,
) -> None:
    found = interval(values, clusters, bounds=UNIT)
    assert found.method is method
    assert found.mean == (None if mean is None else pytest.approx(mean))
    assert (found.low, found.high, found.standard_error) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "clusters", "confidence"),
    [
        ([1.0], [1, 2], 0.95),
        ([float("nan"), 1.0], [1, 2], 0.95),
        ([float("inf"), 1.0], [1, 2], 0.95),
        ([1.5, 1.0], [1, 2], 0.95),
        ([0.5, 1.0], [1, 2], 1.0),
        ([0.5, 1.0], [1, 2], 95),
    ],
)
def test_what_is_no_sample_is_refused(
    values: list[float], clusters: list[int], confidence: float
) -> None:
    with pytest.raises(ValueError, match=r"."):
        cluster_mean(values, clusters, confidence, bounds=UNIT)


# --- properties


@given(samples, st.randoms(use_true_random=False))
def test_order_does_not_matter(sample: list[tuple[float, int]], random: object) -> None:
    shuffled = sample.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _close(
        cluster_mean(*split(sample), bounds=UNIT), cluster_mean(*split(shuffled), bounds=UNIT)
    )


@given(samples, st.integers(1, 5))
def test_unscored_values_are_counted_and_change_nothing(
    sample: list[tuple[float, int]], unscored: int
) -> None:
    """Unscored values read as zero turn a broken machine into a bad model."""
    values, clusters = split(sample)
    found = cluster_mean([*values, *[None] * unscored], [*clusters, *range(unscored)], bounds=UNIT)
    assert found.excluded == unscored
    assert _close(found, cluster_mean(values, clusters, bounds=UNIT))


@given(samples)
def test_the_interval_holds_the_mean_and_keeps_to_the_range(
    sample: list[tuple[float, int]],
) -> None:
    found = cluster_mean(*split(sample), bounds=UNIT)
    assert found.mean is not None
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.mean <= found.high <= 1
        assert found.low < found.high


@given(samples)
def test_asking_a_problem_twice_is_no_new_evidence(sample: list[tuple[float, int]]) -> None:
    """Copies within a cluster narrow an interval that takes every value for independent."""
    assert _close(
        cluster_mean(*split(sample), bounds=UNIT), cluster_mean(*split(sample * 2), bounds=UNIT)
    )


def _close(first: Estimate, second: Estimate) -> bool:
    if first.method != second.method or first.clusters != second.clusters:
        return False
    pairs = [
        (first.mean, second.mean),
        (first.low, second.low),
        (first.high, second.high),
        (first.standard_error, second.standard_error),
    ]
    return all(a == b or a == pytest.approx(b, rel=1e-6, abs=1e-9) for a, b in pairs)


# --- simulations with known truth


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "mean"), [(30, 0.5), (161, 0.7)])
def test_the_interval_covers_the_truth_as_often_as_it_says(groups: int, mean: float) -> None:
    rng = np.random.default_rng(2)
    repetitions = 2_000
    covered = ignoring_clusters = 0
    for _ in range(repetitions):
        values, clusters = clustered(rng, groups, mean)
        found = cluster_mean(values, clusters, bounds=UNIT)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= mean <= found.high
        naive = cluster_mean(values, range(len(values)), bounds=UNIT)
        assert naive.low is not None
        assert naive.high is not None
        ignoring_clusters += naive.low <= mean <= naive.high
    assert covered / repetitions == pytest.approx(0.95, abs=0.02)
    # The simulation can tell: taking the problems for independent covers far too seldom.
    assert ignoring_clusters / repetitions < 0.85


def test_the_bootstrap_agrees() -> None:
    values, clusters = clustered(np.random.default_rng(3), 161)
    t = cluster_mean(values, clusters, bounds=UNIT)
    bootstrap = bootstrap_interval(values, clusters, bounds=UNIT)
    assert bootstrap.method is IntervalMethod.CLUSTER_BOOTSTRAP
    assert bootstrap.mean == t.mean
    assert bootstrap.standard_error == pytest.approx(t.standard_error, rel=0.05)
    assert bootstrap.low == pytest.approx(t.low, abs=0.1 * (t.high or 0) - 0.1 * (t.low or 0))
    assert bootstrap.high == pytest.approx(t.high, abs=0.1 * (t.high or 0) - 0.1 * (t.low or 0))
    assert bootstrap == bootstrap_interval(values, clusters, bounds=UNIT)
    assert bootstrap != bootstrap_interval(values, clusters, bounds=UNIT, seed=1)


def test_the_bootstrap_draws_as_many_as_asked_whatever_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, clusters = clustered(np.random.default_rng(6), 20)
    at_once = bootstrap_interval(values, clusters, resamples=500)
    monkeypatch.setattr("recode_eval.stats.estimates._BOOTSTRAP_CELLS", 20 * 40)
    assert bootstrap_interval(values, clusters, resamples=500) == at_once
    assert bootstrap_interval(values, clusters, resamples=499) != at_once


@pytest.mark.slow
def test_the_bootstrap_covers_too() -> None:
    rng = np.random.default_rng(4)
    repetitions = 800
    covered = 0
    for seed in range(repetitions):
        values, clusters = clustered(rng, 100)
        found = bootstrap_interval(values, clusters, resamples=999, seed=seed)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.6 <= found.high
    assert covered / repetitions == pytest.approx(0.95, abs=0.02)


def test_the_detectable_difference_is_detected_with_the_power_it_says() -> None:
    from scipy import stats

    groups, repetitions = 12, 20_000
    difference = minimum_detectable_difference(1 / groups**0.5, clusters=groups)
    drawn = np.random.default_rng(5).normal(difference, 1, size=(repetitions, groups))
    detected = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
    assert detected == pytest.approx(0.8, abs=0.02)


def test_the_detectable_difference_by_hand() -> None:
    assert minimum_detectable_difference(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-6)
    assert minimum_detectable_difference(0.0) == 0.0
    assert minimum_detectable_difference(1.0, clusters=10) > minimum_detectable_difference(1.0)


@pytest.mark.parametrize("wrong", [{"alpha": 0}, {"power": 1}, {"clusters": 1}])
def test_a_detectable_difference_needs_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"."):
        minimum_detectable_difference(1.0, **wrong)  # type: ignore[arg-type]


def test_importing_loads_no_heavy_library() -> None:
    """`--help` has to answer at once."""
    code = (
        "import sys, recode_eval.stats.estimates, recode_eval.scoring.extraction; "
        "print(sorted({'numpy', 'scipy', 'rapidfuzz'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
