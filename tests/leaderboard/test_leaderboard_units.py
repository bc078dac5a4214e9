from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recode_eval.comparison.differences import change, two_sided_p
from recode_eval.leaderboard.charts import Dot, describe
from recode_eval.leaderboard.highlight import tokens
from recode_eval.leaderboard.ranking import ranks
from recode_eval.leaderboard.text import script_json, shown, slug
from recode_eval.stats.pairwise import pairwise

SCORE = st.sampled_from([0.0, 0.25, 0.5, 1.0, None]) | st.floats(0, 1)
TABLE = st.integers(1, 9).flatmap(
    lambda width: st.tuples(
        st.lists(st.lists(SCORE, min_size=width, max_size=width), min_size=1, max_size=4),
        st.lists(st.integers(0, 4), min_size=width, max_size=width),
    )
)


@settings(deadline=None)  # the first example imports SciPy
@given(TABLE)
@example(([[0.0] * 5, [1.0] * 5, [0.5] * 5, [0.0] * 5], [0, 1, 2, 3, 4]))
@example(([[0.0] * 4, [1.0] * 4], [0, 0, 0, 0]))
@example(([[None, None, 1.0], [0.5, None, None]], [0, 1, 2]))
@example(([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], [0, 1, 2]))
def test_all_pairs_at_once_have_the_numbers_of_one_comparison(
    table: tuple[list[list[float | None]], list[int]],
) -> None:
    """Also where there is no spread, one cluster, no common problem, or no change at all."""
    scores, clusters = table
    means, p_values = pairwise(scores, clusters)
    for i, first in enumerate(scores):
        for j, second in enumerate(scores):
            both = [
                (x - y, cluster)
                for x, y, cluster in zip(first, second, clusters, strict=True)
                if x is not None and y is not None
            ]
            if i == j or not both:
                assert math.isnan(means[i, j])
                assert math.isnan(p_values[i, j])
                continue
            expected = change(*zip(*both, strict=True), bounds=(0.0, 1.0), confidence=0.95)
            assert means[i, j] == pytest.approx(expected.mean, rel=1e-9, abs=1e-15)
            p_value, error = two_sided_p(expected), expected.standard_error
            if p_value is None:
                assert math.isnan(p_values[i, j])
            elif error is None or error > 1e-9:  # a smaller one is rounding, and so is its p-value
                assert p_values[i, j] == pytest.approx(p_value, rel=1e-6)


def test_equal_models_share_all_ranks_and_different_ones_none() -> None:
    good = [0.0 if i % 10 == 0 else 1.0 for i in range(40)]
    bad = [1 - x for x in good]
    assert [str(r) for r in ranks([good, good, bad], range(40))] == ["1-2", "1-2", "3"]
    assert [str(r) for r in ranks([good, good], range(40))] == ["1-2", "1-2"]
    assert [str(r) for r in ranks([good], range(40))] == ["1"]


def test_clusters_make_the_same_difference_less_certain() -> None:
    """40 problems of 4 updates are 4 chances, not 40: these models cannot be told apart."""
    a = [0.0 if i % 4 == 0 else 1.0 for i in range(40)]
    b = [0.0] * 40
    assert [str(r) for r in ranks([a, b], range(40))] == ["1", "2"]
    assert [str(r) for r in ranks([a, b], [i % 4 for i in range(40)])] == ["1-2", "1-2"]


def test_a_difference_that_is_the_same_everywhere_is_graded_as_in_a_comparison() -> None:
    """All or nothing is a sign test on clusters; the same part everywhere cannot be graded."""
    ones, halves, zeros = [1.0] * 6, [0.5] * 6, [0.0] * 6
    assert [str(r) for r in ranks([ones, zeros], range(6))] == ["1", "2"]
    assert [str(r) for r in ranks([ones, zeros], [0] * 6)] == ["1-2", "1-2"]
    assert [str(r) for r in ranks([halves, zeros], range(6))] == ["1-2", "1-2"]


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=1, max_size=5))
def test_ranks_are_possible_and_someone_is_first(scores: list[list[float]]) -> None:
    found = ranks(scores, range(6))
    assert min(r.best for r in found) == 1
    assert all(1 <= r.best <= r.worst <= len(scores) for r in found)
    assert any(r.worst == len(scores) for r in found)


@given(st.text())
def test_shown_text_is_encodable_and_has_no_control_characters(text: str) -> None:
    found = shown(text)
    found.encode("utf-8")
    assert not any(ord(c) < 32 and c not in "\n\t" for c in found)


@given(st.text(), st.text())
def test_slugs_are_unique_and_harmless(a: str, b: str) -> None:
    assert set(slug(a)) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert not slug(a).startswith(".")
    assert (slug(a) == slug(b)) == (a == b)


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_script_json_is_the_same_json_without_markup(content: object) -> None:
    import json

    text = script_json(content)
    assert not set("<>&") & set(text)
    assert json.loads(text) == content


@given(st.text(max_size=300))
def test_coloured_code_is_the_code(code: str) -> None:
    """No character is lost or made up by colouring, whatever the code is."""
    pieces = tokens(code)
    assert len(pieces) % 2 == 0
    assert "".join(pieces[1::2]) == shown(code)


def test_script_json_refuses_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json({"x": math.nan})


def test_a_chart_says_where_an_interval_is_a_bound() -> None:
    """100 % with whiskers from 66 % looked like an estimate with its error."""
    dots = [Dot("a", 1.0, 0.66, 1.0, bound=True), Dot("b", 0.5, 0.4, 0.6)]
    assert describe(dots) == (
        "a: 100.0 %, all equal, bound 66.0 to 100.0 %; b: 50.0 %, interval 40.0 to 60.0 %"
    )
