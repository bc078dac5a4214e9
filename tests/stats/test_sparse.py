"""The exact bound where few clusters changed: binomial where it must be, and monotone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from recode_eval.stats.sparse import (
    changed_clusters,
    clusters_for,
    drop_p,
    is_sparse,
    smallest_decidable,
)


@given(st.integers(1, 400), st.data())
@settings(deadline=None, max_examples=60)
def test_clusters_that_break_or_do_not_have_the_binomial_p_value(
    clusters: int, data: st.DataObject
) -> None:
    broken = data.draw(st.integers(0, clusters - 1))
    margin = data.draw(st.floats(0.005, 0.6))
    sums = [-1.0] * broken + [0.0] * (clusters - broken)
    found = drop_p(sums, [1] * clusters, margin)
    assert found == pytest.approx(binom.cdf(broken, clusters, margin), rel=1e-4, abs=1e-7)


def test_clusters_that_all_changed_alike_have_the_rule_of_comparison() -> None:
    for rise in (0.25, 0.75):
        found = drop_p([rise] * 8, [1] * 8)
        assert found == pytest.approx((1 / (1 + rise)) ** 8)


def test_unequal_clusters_agree_with_random_weights() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 5, 60)
    sums = rng.normal(0, 0.1, 60) * sizes
    weights = rng.exponential(size=(100_000, 61))
    totals = np.append(sums + 0.02 * sizes, -0.98 * sizes.mean())
    share = float((weights @ totals <= 0).mean())
    found = drop_p(sums.tolist(), sizes.tolist(), 0.02)
    assert found == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 100_000))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40), st.floats(0.01, 0.5), st.data())
@settings(deadline=None, max_examples=60)
def test_a_worse_cluster_never_lowers_the_p_value(
    sums: list[float], margin: float, data: st.DataObject
) -> None:
    """Equal counts were inconclusive, and with one sample lost the gate passed."""
    index = data.draw(st.integers(0, len(sums) - 1))
    worse = [*sums]
    worse[index] -= data.draw(st.floats(0, 1)) * (1 + worse[index])
    sizes = [1] * len(sums)
    assert drop_p(worse, sizes, margin) >= drop_p(sums, sizes, margin) - 1e-5


@given(st.integers(2, 2_000), st.floats(0.001, 0.3), st.floats(0.5, 4))
def test_the_smallest_margin_and_the_clusters_for_it_agree(
    clusters: int, level: float, reach: float
) -> None:
    smallest = smallest_decidable(clusters, level, reach)
    assert smallest == pytest.approx(reach * (1 - level ** (1 / clusters)))
    assert clusters_for(smallest * 1.0001, level, reach) <= clusters
    assert clusters_for(smallest * 0.9999, level, reach) > clusters


def test_how_many_clusters_carry_a_change() -> None:
    assert changed_clusters([]) == changed_clusters([0.0, 0.0]) == 0
    assert changed_clusters([1e-200] * 3 + [0.0]) == pytest.approx(3)
    normal = np.random.default_rng(1).normal(size=600)
    assert changed_clusters(normal.tolist()) == pytest.approx(200, rel=0.15)
    assert not is_sparse(normal.tolist())
    assert is_sparse([1.0] * 24 + [0.0] * 400)
    assert not is_sparse([1.0] * 26 + [0.0] * 400)


@pytest.mark.parametrize("arguments", [([], [], 0.1), ([0.0], [1, 1], 0.1), ([0.0], [1], 1.0)])
def test_what_is_no_sample_is_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="as many sums as sizes"):
        drop_p(*arguments)
