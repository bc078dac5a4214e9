"""Differences of training methods, on simulated trainings whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from recode_eval.comparison.pooling import Change, Evidence, Scope, compared, pooled
from recode_eval.stats.trainings import method_error

SEED = 20261129
RUNS = 1_000
LAYOUTS = {
    "arena": (670, 161), "migration": (222, 195), "arena-mini": (96, 48), "humaneval": (164, 164),
}  # fmt: skip


def difference(
    rng: np.random.Generator, layout: str, seed_sd: float, trainings: int, points: float = 0.0
) -> tuple[np.ndarray, np.ndarray, int, list[np.ndarray]]:
    """Draw differences of two methods, `points` apart: mean, error (jackknife), df, seed means.

    A training shifts the chance of every problem by the same; each answers ten times.
    """
    problems, clusters = LAYOUTS[layout]
    groups = np.arange(problems) % clusters
    rates = rng.choice([0.15, 0.5, 0.85], p=[0.31, 0.22, 0.47], size=(RUNS, 1, problems))
    sides = []
    for move in (0.0, points / 100):
        shift = move + seed_sd / 100 * rng.standard_normal((RUNS, trainings, 1))
        chance = np.clip(rates + shift, 0, 1)
        # Ten draws, as a normal variable: for sums over problems that makes no difference.
        noise = rng.standard_normal(chance.shape) * np.sqrt(chance * (1 - chance) / 10)
        sides.append(chance + noise)
    change = sides[1].mean(axis=1) - sides[0].mean(axis=1)
    mean = change.mean(axis=1)
    member = np.eye(clusters)[groups]
    sums, sizes = change @ member, member.sum(axis=0)
    moved = (sums - sizes * mean[:, None]) / (problems - sizes)
    error = np.sqrt((moved**2).sum(axis=1) * (clusters - 1) / clusters)
    return mean, error, clusters - 1, [side.mean(axis=2) for side in sides]


def rejected(layout: str, seed_sd: float, trainings: int = 3, points: float = 0.0) -> float:
    rng = np.random.default_rng(SEED)
    mean, error, degrees, means = difference(rng, layout, seed_sd, trainings, points)
    found = [
        method_error(float(error[i]), degrees, [side[i].tolist() for side in means]).p_value(
            float(mean[i])
        )
        for i in range(RUNS)
    ]
    return float((np.array(found) < 0.05).mean())


@pytest.mark.parametrize("seed_sd", [0, 1, 2, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_equal_methods_are_seldom_called_different(layout: str, seed_sd: float) -> None:
    """Without the variance between trainings, 24 to 75 % of equal methods were."""
    share = rejected(layout, seed_sd)
    print(layout, seed_sd, share)
    assert share < 0.07  # the standard error of a true 5 % is 0.7 points


def test_more_trainings_show_smaller_differences() -> None:
    few, many = (rejected("arena", 2, trainings, points=4) for trainings in (3, 8))
    print(few, many)
    assert many > few + 0.2


def test_one_training_shows_no_variance() -> None:
    with pytest.raises(ValueError, match="one training"):
        method_error(0.1, 9, [[0.5]])
    with pytest.raises(ValueError, match="above 0"):
        method_error(0.1, 0, [])


def of(*rows: list[float]) -> list[Evidence]:
    return [
        Evidence(
            {"pass@1": {f"p{i}": value for i, value in enumerate(row)}},
            {"pass@1": (0.0, 1.0)},
            {f"p{i}": f"c{i}" for i in range(len(row))},
        )
        for row in rows
    ]


def against(reference: Evidence, other: Evidence) -> Change:
    found = compared(reference, other, "pass@1")
    assert found is not None
    return found


BASE = [0.0, 0.5, 0.5, 0.0, 1.0, 0.5, 0.0, 0.5]
BETTER = [0.5, 1.0, 1.0, 0.0, 1.0, 1.0, 0.5, 1.0]
WORSE = [0.0, 0.5, 0.5, 0.0, 1.0, 1.0, 0.5, 0.5]


def test_the_scope_tells_what_a_difference_is_about() -> None:
    base, better, worse = of(BASE, BETTER, WORSE)
    plain = against(base, better)
    assert (plain.scope, plain.trainings, plain.verdict) == (Scope.MODELS, (), "up")
    alone = against(base, pooled([better], trainings=True))
    assert (alone.scope, alone.trainings) == (Scope.TRAININGS, (1,))
    assert (alone.low, alone.high, alone.p) == (plain.low, plain.high, plain.p)
    several = against(base, pooled([better, worse, better], trainings=True))
    assert (several.scope, several.trainings) == (Scope.METHODS, (3,))
    assert several.trainings_share is not None
    assert 0.3 < several.trainings_share < 1
    runs = against(base, pooled([better, worse, better]))
    assert runs.scope is Scope.MODELS
    assert runs.value == several.value
    assert several.p is not None
    assert runs.p is not None
    assert several.p > runs.p
    one_is_single = against(
        pooled([worse], trainings=True), pooled([better, worse], trainings=True)
    )
    assert (one_is_single.scope, one_is_single.trainings) == (Scope.TRAININGS, (1, 2))


def test_changes_that_are_all_alike_still_count_the_trainings() -> None:
    base, one, two = of([0.0] * 30, [0.5] * 30, [1.0] * 30)
    found = against(base, pooled([one, two], trainings=True))
    assert found.scope is Scope.METHODS
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low < 0.5 < found.high <= 1
    assert found.trainings_share is not None
    assert found.trainings_share > 0.5


def test_trainings_without_values_are_no_trainings() -> None:
    base, better, _ = of(BASE, BETTER, WORSE)
    silent = Evidence({"pass@1": dict.fromkeys(base.values["pass@1"])}, base.bounds, base.clusters)
    found = against(base, pooled([better, silent], trainings=True))
    assert (found.scope, found.trainings) == (Scope.TRAININGS, (1,))
