"""Intervals and paired tests on simulated models of known truth, on the layouts of the docs.

A share of simulations is compared with what the rule promises less three standard errors of that
share, so the tolerance follows from the number of draws.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recode_eval.stats.estimates import cluster_mean

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LAYOUTS = ("arena", "migration", "arena-mini", "HumanEval", "Zipf", "half in one", "few")
DRAWS = 600


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import interval_coverage

    return interval_coverage


def sizes_of(simulated: ModuleType, layout: str) -> np.ndarray:
    (sizes,) = (x for name, x in simulated.LAYOUTS.items() if name.startswith(f"{layout}:"))
    found: np.ndarray = sizes
    return found


def tolerance(share: float, draws: int) -> float:
    return float(3 * np.sqrt(share * (1 - share) / draws))


def test_the_layouts_are_what_their_names_say(simulated: ModuleType) -> None:
    assert len(simulated.LAYOUTS) == len(LAYOUTS)
    for name, sizes in simulated.LAYOUTS.items():
        problems, _, clusters = name.partition(": ")[2].split()
        assert (sizes.sum(), len(sizes)) == (int(problems), int(clusters))
        assert sizes.min() >= 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_wrong_problem_never_has_the_bound_of_none(simulated: ModuleType, layout: str) -> None:
    """95 of 96 had a higher lower bound than 96 of 96."""
    of = simulated.clusters_of(sizes_of(simulated, layout))
    best = cluster_mean([1.0] * len(of), of, bounds=(0, 1))
    for cluster in {of[0], of[len(of) // 2], of[-1]}:
        values = [1.0] * len(of)
        values[of.index(cluster)] = 0.0
        found = cluster_mean(values, of, bounds=(0, 1))
        assert found.low < best.low  # type: ignore[operator]


@pytest.mark.parametrize("chance", [0.02, 0.9])
def test_coverage_where_the_former_rule_failed(simulated: ModuleType, chance: float) -> None:
    """The t-interval on the CV1 error held 63 to 90 % here instead of 95."""
    rng = np.random.default_rng(1)
    for layout in ("arena-mini", "Zipf", "half in one", "few"):
        sizes = sizes_of(simulated, layout)
        rows = simulated.pass_rates(rng, sizes, chance, 10, 0.4, 150)
        share, _ = simulated.coverage(rows, sizes, chance)
        least = 0.90 if chance == 0.02 else 0.92
        assert share >= least - tolerance(least, 150)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_coverage(simulated: ModuleType, layout: str) -> None:
    sizes = sizes_of(simulated, layout)
    rng = np.random.default_rng(2)
    failed = []
    for chance in simulated.CHANCES:
        least = 0.90 if chance in (0.02, 0.98) else 0.92
        for design in simulated.DESIGNS:
            rows = simulated.pass_rates(rng, sizes, chance, *design, DRAWS)
            assert rows.mean() == pytest.approx(chance, abs=0.03)
            share, _ = simulated.coverage(rows, sizes, chance)
            if share < least - tolerance(least, DRAWS):
                failed.append((chance, design, share))
    assert not failed


@pytest.mark.slow
def test_the_simulation_can_tell(simulated: ModuleType) -> None:
    sizes = sizes_of(simulated, "Zipf")
    rows = simulated.pass_rates(np.random.default_rng(3), sizes, 0.95, 10, 0.4, DRAWS)
    assert simulated.former_coverage(rows, sizes, 0.95) < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["same", "shift", "flip", "sparse"])
def test_equal_models_are_called_different_as_seldom_as_it_says(
    simulated: ModuleType, layout: str, kind: str
) -> None:
    sizes = sizes_of(simulated, layout)
    rng = np.random.default_rng(4)
    for n in (1, 10):
        rows = simulated.paired_changes(rng, sizes, kind, n, DRAWS)
        assert rows.mean() == pytest.approx(0, abs=0.02)
        found = simulated.false_findings(rows, sizes)
        assert found <= 0.065 + tolerance(0.065, DRAWS)


@pytest.mark.parametrize("layout", ["arena-mini", "migration"])
def test_identical_models_with_unequal_n_have_no_fixed_problem(
    simulated: ModuleType, layout: str
) -> None:
    """McNemar's test on "more than half" called them different in 44 to 100 % of the cases."""
    per_problem, mcnemar = simulated.unequal_samples(sizes_of(simulated, layout), 60)
    assert per_problem == 0
    assert mcnemar > 0.2
