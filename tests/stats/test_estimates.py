"""Intervals against NumPy and SciPy, by hand, and by their properties."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.stats.estimates import (
    Estimate,
    IntervalMethod,
    cluster_mean,
    cluster_t,
    is_bound,
    minimum_detectable_difference,
)

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


@pytest.mark.parametrize("groups", [3, 10, 161])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_it_is_the_jackknife_over_clusters_with_t_of_the_effective_clusters(
    groups: int, confidence: float
) -> None:
    from scipy import stats

    values, clusters = clustered(np.random.default_rng(groups), groups)
    column, of = np.array(values), np.array(clusters)
    without = np.array([column[of != group].mean() for group in range(groups)])
    error = np.sqrt((groups - 1) / groups * ((without - column.mean()) ** 2).sum())
    sizes = np.bincount(of)
    effective = sizes.sum() ** 2 / (sizes**2).sum()
    low, high = stats.t.interval(confidence, effective - 1, column.mean(), error)
    for found in (
        cluster_t(values, clusters, confidence),
        cluster_mean(values, clusters, confidence),
    ):
        assert found.mean == pytest.approx(column.mean())
        assert found.standard_error == pytest.approx(error)
        assert found.effective_clusters == pytest.approx(effective)
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
        assert (found.n, found.clusters) == (len(values), groups)
        assert found.method is IntervalMethod.CLUSTER_T


def test_in_the_middle_of_the_range_it_is_wilson_with_the_effective_size() -> None:
    from scipy import stats

    values, clusters = clustered(np.random.default_rng(8), 161)
    found = cluster_mean(values, clusters, bounds=UNIT)
    assert found.mean is not None
    assert found.standard_error is not None
    assert found.effective_clusters is not None
    size = found.mean * (1 - found.mean) / found.standard_error**2
    # SciPy's interval is of a count; a share of the effective size is one with its z for our t.
    confidence = 1 - 2 * stats.norm.sf(stats.t.ppf(0.975, found.effective_clusters - 1))
    total = 10_000_000
    expected = stats.binomtest(round(found.mean * total), total).proportion_ci(
        confidence, method="wilson"
    )
    scale = (total / size) ** 0.5
    assert found.high - found.low == pytest.approx(  # type: ignore[operator]
        scale * (expected.high - expected.low), rel=0.01
    )
    assert found.method is IntervalMethod.CLUSTER_WILSON


def test_independent_values_have_the_textbook_interval() -> None:
    from scipy import stats

    values = np.random.default_rng(1).normal(size=30).tolist()
    found = cluster_mean(values, range(30))
    low, high = stats.t.interval(0.95, 29, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_by_hand() -> None:
    # Means without a, b, c: 1/3, 1/2, 2/3, so SE^2 = 2/3 * 2/36; effective clusters: 16/6.
    found = cluster_mean([1.0, 1.0, 0.0, 0.0], ["a", "b", "b", "c"])
    assert found.mean == 0.5
    assert found.standard_error == pytest.approx((1 / 27) ** 0.5)
    assert found.effective_clusters == pytest.approx(8 / 3)
    equal = cluster_mean([1.0, 1.0, 0.0], ["a", "b", "c"])
    assert equal.high == pytest.approx(2 / 3 + 4.302652729911275 / 3)  # t(2), 97.5 %


@pytest.mark.parametrize("end", [0.0, 1.0])
@pytest.mark.parametrize("groups", [2, 5, 161])
def test_all_or_nothing_is_clopper_pearson_on_the_clusters(groups: int, end: float) -> None:
    """A t-interval of equal values has no width and claims certainty after five problems."""
    from scipy import stats

    found = cluster_mean([end] * (3 * groups), [*range(groups)] * 3, 0.95, bounds=UNIT)
    exact = stats.binomtest(int(end * groups), groups).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert found.method is IntervalMethod.ALL_EQUAL
    assert is_bound(found.method)
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
        ([0.0, 1.0] * 10 + [1.0], [1] * 20 + [2], IntervalMethod.DOMINANT_CLUSTER, 11 / 21),
    ],
)
def test_no_interval_is_said_and_not_made_up(
    values: list[float | None],
    clusters: list[int],
    method: IntervalMethod,
    mean: float | None,
) -> None:
    found = cluster_mean(values, clusters, bounds=UNIT)
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


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(2, 300))
    return n, draw(st.integers(0, n - 1))


@given(counts(), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_one_more_that_is_right_never_lowers_a_bound(
    case: tuple[int, int], confidence: float
) -> None:
    """96 of 96 had [92.6, 100], and 95 of 96 had [96.9, 100]."""
    n, right = case
    fewer, more = (
        cluster_mean([1.0] * k + [0.0] * (n - k), range(n), confidence, bounds=UNIT)
        for k in (right, right + 1)
    )
    if fewer.low is not None and more.low is not None:
        assert fewer.low <= more.low
        assert fewer.high <= more.high  # type: ignore[operator]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_all_right_has_the_highest_bound_in_clusters_too(size: int, confidence: float) -> None:
    """As above: the 96 problems are in 48 clusters."""
    for groups in (3, 8, 20, 48, 70, 161):
        values = [1.0] * (size * groups)
        of = [group for group in range(groups) for _ in range(size)]
        best = cluster_mean(values, of, confidence, bounds=UNIT)
        values[0] = 0.0
        second = cluster_mean(values, of, confidence, bounds=UNIT)
        assert second.low < best.low  # type: ignore[operator]
        assert second.high < 1  # type: ignore[operator]


def test_the_counterexample_of_the_docs() -> None:
    """One problem more that is right may lower a bound where it shows that clusters differ."""
    fewer = cluster_mean([1.0] * 20 + [0.0] * 20, [*range(20)] * 2, bounds=UNIT)
    assert fewer.method is IntervalMethod.NO_SPREAD
    of = [0] * 10 + [*range(1, 11)]
    low = [
        cluster_mean([1.0] * right + [0.0] * (10 - right) + [0.0, 1.0] * 5, of, bounds=UNIT).low
        for right in (5, 10)
    ]
    assert low[1] < low[0]  # type: ignore[operator]


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
