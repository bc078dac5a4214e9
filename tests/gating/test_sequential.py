"""Looking early: the levels are exact, and the gate errs no more often than with one look."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import multivariate_normal
from test_gate_simulation import CLUSTERS, PROBLEMS, SEED, checkpoints, clusters

from recode_eval.comparison.differences import change
from recode_eval.stats.sequential import (
    adjusted_p,
    default_looks,
    nominal_levels,
    planned_times,
    spent,
)

LOOKS = default_looks(10, 2)
INFORMATION = st.lists(st.floats(1.02, 4), min_size=1, max_size=5).map(np.cumprod)


def crossing(levels: list[float], information: np.ndarray) -> float:
    """Return the chance to cross any bound if there is no effect, by another method (Genz)."""
    earlier, later = (
        np.minimum.outer(information, information),
        np.maximum.outer(information, information),
    )
    joint = multivariate_normal(cov=np.sqrt(earlier / later), allow_singular=True, seed=1)
    return 1 - float(joint.cdf(ndtri(1 - np.array(levels))))


@settings(deadline=None, max_examples=60)
@given(INFORMATION, st.sampled_from([0.01, 0.025, 0.05, 0.1]))
def test_the_looks_together_spend_what_they_may(information: np.ndarray, alpha: float) -> None:
    times = planned_times(tuple(range(2, 2 + 2 * len(information), 2)))
    levels = nominal_levels(times, list(information), alpha)
    assert crossing(levels, information) == pytest.approx(alpha, abs=3e-4)
    assert all(0 < level <= alpha + 1e-9 for level in levels)
    if len(levels) > 1:
        partly = nominal_levels(times, list(information[:-1]), alpha)
        assert partly == pytest.approx(levels[:-1])
        assert crossing(partly, information[:-1]) == pytest.approx(
            spent(times[len(partly) - 1], alpha), abs=3e-4
        )


def test_known_bounds_of_obrien_and_fleming() -> None:
    """Lan-DeMets bounds at five equal looks, two-sided 5 %: Jennison and Turnbull (2000)."""
    times = [0.2, 0.4, 0.6, 0.8, 1.0]
    bounds = -ndtri(nominal_levels(times, times, 0.025))
    assert bounds == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=0.002)


def test_one_look_is_the_fixed_rule() -> None:
    assert nominal_levels(planned_times((10,)), [7.0], 0.05) == pytest.approx([0.05])
    assert adjusted_p(0.03, planned_times((10,)), [7.0]) == pytest.approx(0.03)


def test_without_a_standard_error_a_look_has_its_own_share_only() -> None:
    """Clusters that do not differ have no information; Bonferroni holds whatever the data are."""
    times = planned_times(LOOKS)
    levels = nominal_levels(times, [None, 1.0, None], 0.05)
    budget = [spent(time, 0.05) for time in times]
    assert levels == pytest.approx([budget[0], budget[1] - budget[0], budget[2] - budget[1]])


def test_information_that_seems_to_shrink_is_taken_for_the_same() -> None:
    levels = nominal_levels(planned_times(LOOKS), [1.0, 0.8, 1.0, 1.2, 1.1], 0.05)
    assert crossing(levels, np.array([1, 1.01, 1.0201, 1.2, 1.212])) == pytest.approx(
        0.05, abs=1e-3
    )


@settings(deadline=None, max_examples=25)
@given(INFORMATION, st.floats(1e-6, 0.4))
def test_the_adjusted_p_value_agrees_with_the_levels(information: np.ndarray, p: float) -> None:
    times = planned_times(tuple(range(2, 2 + 2 * len(information), 2)))
    adjusted = adjusted_p(p, times, list(information))
    assert p * (1 - 1e-6) <= adjusted <= 1
    for alpha in (0.01, 0.05):
        level = nominal_levels(times, list(information), alpha)[-1]
        if abs(adjusted - alpha) > 1e-4:
            assert (adjusted <= alpha) == (p <= level)


def test_the_planned_looks() -> None:
    assert default_looks(10, 2) == (2, 4, 6, 8, 10)
    assert default_looks(3, 2) == (2, 3)
    assert default_looks(5, 3) == (3, 4, 5)
    times = planned_times((2, 4, 6, 8, 10))
    assert list(times) == sorted(times)
    assert times[-1] == 1


# --- checkpoints whose true difference is known


def looked(points: float, runs: int, alpha: float = 0.05) -> tuple[Counter[str], float]:
    """Gate simulated checkpoints in looks; return the verdicts and the mean samples per problem."""
    rng = np.random.default_rng(SEED)
    groups = clusters(rng)
    before, after = checkpoints(rng, groups, points, runs)
    baseline = rng.binomial(10, before) / 10
    steps = np.diff([0, *LOOKS])
    passed = np.cumsum([rng.binomial(n, after) for n in steps], axis=0)
    member = np.zeros((PROBLEMS, CLUSTERS))
    member[np.arange(PROBLEMS), groups] = 1
    means, errors = [], []
    for n, right in zip(LOOKS, passed, strict=True):
        rows = right / n - baseline
        mean = rows.mean(axis=1)
        sums = (rows - mean[:, None]) @ member
        means.append(mean)
        left_out = sums / (PROBLEMS - member.sum(axis=0))
        errors.append(np.sqrt((left_out**2).sum(axis=1) * (CLUSTERS - 1) / CLUSTERS))
    first = change(
        (passed[0, 0] / LOOKS[0] - baseline[0]).tolist(), groups.tolist(), bounds=(0, 1),
        confidence=0.9,
    )  # fmt: skip
    assert first.standard_error == pytest.approx(errors[0][0])
    times = planned_times(LOOKS)
    verdicts: Counter[str] = Counter()
    samples = 0
    for run in range(runs):
        information: list[float | None] = []
        verdict = "inconclusive"
        for index in range(len(LOOKS)):
            mean, error = means[index][run], errors[index][run]
            information.append(1 / error**2)
            reach = -ndtri(nominal_levels(times, information, alpha)[-1]) * error
            if mean - reach > -0.03:
                verdict = "pass"
            elif mean + reach < 0:
                verdict = "regress"
            if verdict != "inconclusive":
                break
        verdicts[verdict] += 1
        samples += LOOKS[index]
    return verdicts, samples / runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("points", "fixed", "most"),
    # The fixed rule's shares (docs/ci.md) of pass and regress; at most so many samples of ten.
    [(0, (0.83, 0.04), 5.6), (-3, (0.06, 0.82), 5.6), (-5, (0.001, 0.996), 3.1)],
)
def test_the_gate_with_looks_decides_as_the_fixed_rule_and_saves_samples(
    points: float, fixed: tuple[float, float], most: float
) -> None:
    runs = 2_500
    verdicts, samples = looked(points, runs)
    print(points, {key: value / runs for key, value in verdicts.items()}, samples)
    for verdict, share in zip(("pass", "regress"), fixed, strict=True):
        sigma = np.sqrt(max(share * (1 - share), 1 / runs) / runs)
        assert verdicts[verdict] / runs == pytest.approx(share, abs=3 * sigma + 0.015)
    assert 2 <= samples < most


@pytest.mark.exhaustive
@pytest.mark.parametrize(("points", "wrong"), [(0, "regress"), (-3, "pass")])
@pytest.mark.parametrize("alpha", [0.05, 0.025])
def test_the_errors_of_the_looks_together(points: float, wrong: str, alpha: float) -> None:
    runs = 5_000
    verdicts, samples = looked(points, runs, alpha)
    print(points, alpha, {key: value / runs for key, value in verdicts.items()}, samples)
    # The clustered t-test itself errs a little more than its level with skewed differences.
    assert verdicts[wrong] / runs < alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs) + 0.005


@pytest.mark.parametrize("drift", [0.0, -3.0])
def test_a_false_verdict_is_no_more_likely_than_alpha(drift: float) -> None:
    """Exact normal looks, many of them: `regress` at 0 and `pass` at -margin."""
    rng = np.random.default_rng(SEED)
    runs, margin = 200_000, 3.0
    variance = np.array([0.956 + 1.833 / n + 0.1833 for n in LOOKS])
    information = 1 / variance
    steps = rng.normal(size=(runs, len(LOOKS))) * np.sqrt(np.diff([0, *information]))
    means = np.cumsum(steps, axis=1) / information + drift
    reach = -ndtri(nominal_levels(planned_times(LOOKS), list(information), 0.05)) * np.sqrt(
        variance
    )
    passes, worse = means - reach > -margin, means + reach < 0
    decided = passes | worse
    first = np.where(decided.any(axis=1), decided.argmax(axis=1), len(LOOKS) - 1)
    rows = np.arange(runs)
    wrong = (worse & ~passes if drift == 0 else passes)[rows, first].mean()
    print(drift, wrong, np.array(LOOKS)[first].mean())
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert wrong > 0.045
