from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from recode_eval.leaderboard.highlight import tokens
from recode_eval.leaderboard.ranking import compare, holm, p_value, ranks
from recode_eval.leaderboard.text import script_json, shown, slug

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(P_VALUES)
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    expected = multipletests(values, alpha=0.05, method="holm")[0].tolist()
    # At the very threshold the two round differently.
    if all(abs(p * k - 0.05) > 1e-12 for p in values for k in range(1, len(values) + 1)):
        assert holm(values) == expected


def test_the_p_value_of_independent_problems_is_that_of_the_paired_t_test() -> None:
    a = {str(i): [0.1, 0.4, 0.9, 0.3, 1.0, 0.2][i % 6] for i in range(30)}
    b = {str(i): [0.2, 0.3, 0.5, 0.3, 0.6][i % 5] for i in range(30)}
    expected = ttest_rel(list(a.values()), list(b.values())).pvalue
    assert p_value(compare(a, b, {key: key for key in a})) == pytest.approx(expected)


def test_where_everything_differs_it_is_the_sign_test_on_clusters() -> None:
    ones, zeros = dict.fromkeys("abcdef", 1.0), dict.fromkeys("abcdef", 0.0)
    difference = compare(ones, zeros, {key: key for key in ones})
    assert p_value(difference) == pytest.approx(2 * 0.5**6)
    one_cluster = compare(ones, zeros, dict.fromkeys("abcdef", "x"))
    assert p_value(one_cluster) == 1


def test_equal_models_share_all_ranks_and_different_ones_none() -> None:
    keys = [str(i) for i in range(40)]
    good = {k: 1.0 if int(k) % 10 else 0.0 for k in keys}
    bad = {k: 0.0 if int(k) % 10 else 1.0 for k in keys}
    clusters = {k: k for k in keys}
    assert [str(r) for r in ranks([good, good, bad], clusters)] == ["1-2", "1-2", "3"]
    assert [str(r) for r in ranks([good, good], clusters)] == ["1-2", "1-2"]
    assert [str(r) for r in ranks([good], clusters)] == ["1"]


def test_clusters_make_the_same_difference_less_certain() -> None:
    """40 problems of 4 updates are 4 chances, not 40: these models cannot be told apart."""
    keys = [str(i) for i in range(40)]
    a = {k: 1.0 if int(k) % 4 else 0.0 for k in keys}
    b = dict.fromkeys(keys, 0.0)
    own = {k: k for k in keys}
    updates = {k: str(int(k) % 4) for k in keys}
    assert [str(r) for r in ranks([a, b], own)] == ["1", "2"]
    assert [str(r) for r in ranks([a, b], updates)] == ["1-2", "1-2"]


@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=1, max_size=5))
def test_ranks_are_possible_and_someone_is_first(scores: list[list[float]]) -> None:
    named = [{str(i): v for i, v in enumerate(row)} for row in scores]
    found = ranks(named, {str(i): str(i) for i in range(6)})
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
