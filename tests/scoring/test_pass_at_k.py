"""pass@k against its definition and against counting."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.scoring import pass_at_k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (5, 4, 1, 0.8),
        (5, 1, 2, 0.4),
        (5, 1, 5, 1.0),
        (9, 3, 2, 7 / 12),
    ],
)
def test_by_hand(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == expected


@pytest.mark.parametrize(("n", "k"), [(0, 1), (4, 5), (1, 10)])
def test_fewer_samples_than_k_have_no_value(n: int, k: int) -> None:
    """Upstream's code reports 100 for pass@10 of five failed samples."""
    assert pass_at_k(n, 0, k) is None
    assert pass_at_k(n, n, k) is None


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 1, 0), (-1, 0, 1)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


@given(st.integers(1, 8), st.data())
def test_it_is_the_share_of_subsets_with_a_pass(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == sum(map(any, subsets)) / len(subsets)


@given(st.integers(1, 3000), st.data())
def test_it_is_exact_and_grows(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    found = pass_at_k(n, c, k)
    assert found is not None
    assert found == pytest.approx(float(1 - Fraction(comb(n - c, k), comb(n, k))), rel=1e-11)
    if c < n:
        more = pass_at_k(n, c + 1, k)
        assert more is not None
        assert more >= found


@given(st.integers(10**5, 10**9), st.integers(1, 50), st.integers(1, 50))
def test_large_counts_are_stable(n: int, c: int, k: int) -> None:
    """A difference of two nearly equal numbers loses the small chances."""
    found = pass_at_k(n, c, k)
    assert found == pytest.approx(float(1 - Fraction(comb(n - c, k), comb(n, k))), rel=1e-11)
