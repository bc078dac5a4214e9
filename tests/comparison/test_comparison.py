"""Differences against statsmodels and SciPy, by hand, and by their properties."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_runs import store_run

from recode_eval.comparison.differences import (
    MetricFamily,
    change,
    compare,
    difference,
    difference_json,
    holm,
    lower_tail_p,
    sign_flip_p,
    two_sided_p,
)
from recode_eval.comparison.headline import headline, headline_text
from recode_eval.comparison.problems import (
    FALSE_DISCOVERIES,
    changed_problems,
    fisher_p,
    nameable,
    problem_changes,
)
from recode_eval.comparison.sentences import sentence
from recode_eval.run.results_file import read_run
from recode_eval.scoring.pass_at_k import pass_at_k
from recode_eval.stats.estimates import IntervalMethod, minimum_detectable_difference

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


def models(seed: int, groups: int) -> tuple[list[float], list[float], list[int]]:
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(groups), 1 + np.arange(groups) % 5)
    chance = rng.beta(1, 1, size=groups)[clusters]
    old = rng.binomial(10, chance) / 10
    new = rng.binomial(10, np.clip(chance + rng.normal(0, 0.1, groups)[clusters], 0, 1)) / 10
    return old.tolist(), new.tolist(), clusters.tolist()


# --- against oracles


@pytest.mark.parametrize("groups", [3, 12, 161])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_it_is_the_jackknife_over_clusters_with_t_of_the_effective_clusters(
    groups: int, confidence: float
) -> None:
    from scipy import stats

    old, new, clusters = models(groups, groups)
    changes, of = np.array(new) - np.array(old), np.array(clusters)
    without = [changes[of != group].mean() for group in range(groups)]
    mean = changes.mean()
    error = np.sqrt((groups - 1) / groups * ((np.array(without) - mean) ** 2).sum())
    effective = len(of) ** 2 / (np.bincount(of) ** 2).sum()
    low, high = stats.t.interval(confidence, effective - 1, mean, error)
    found = difference("pass@1", old, new, clusters, confidence=confidence)
    assert found is not None
    assert found.estimate.mean == pytest.approx(mean, abs=1e-9)
    assert found.estimate.standard_error == pytest.approx(error, abs=1e-9)
    assert (found.estimate.low, found.estimate.high) == (
        pytest.approx(max(low, -1), abs=1e-9),
        pytest.approx(min(high, 1), abs=1e-9),
    )
    p_value = 2 * stats.t.sf(abs(mean) / error, effective - 1)
    assert found.p_value == pytest.approx(p_value, abs=1e-9)
    assert found.detectable == minimum_detectable_difference(
        found.estimate.standard_error, clusters=effective
    )


def test_without_clusters_it_is_the_paired_t_test() -> None:
    from scipy.stats import ttest_rel

    old, new, _ = models(1, 40)
    found = difference("pass@1", old, new, range(len(old)), confidence=0.9)
    assert found is not None
    oracle = ttest_rel(new, old)
    assert found.p_value == pytest.approx(oracle.pvalue, abs=1e-9)
    interval = oracle.confidence_interval(0.9)
    assert (found.estimate.low, found.estimate.high) == (
        pytest.approx(interval.low, abs=1e-9),
        pytest.approx(interval.high, abs=1e-9),
    )
    drop = ttest_rel(new, old, alternative="less")
    assert lower_tail_p(found.estimate) == pytest.approx(drop.pvalue, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_few_clusters_have_the_exact_sign_flip_test(seed: int) -> None:
    old, new, clusters = models(seed, 9)
    sums = np.zeros(9)
    np.add.at(sums, clusters, np.array(new) - np.array(old))
    totals = [
        abs(np.dot(signs, sums)) >= abs(sums.sum()) - 1e-12
        for signs in itertools.product((-1, 1), repeat=9)
    ]
    changes = [b - a for a, b in zip(old, new, strict=True)]
    assert sign_flip_p(changes, clusters) == pytest.approx(np.mean(totals), abs=1e-9)


def test_sums_that_rounding_alone_tells_apart_are_ties() -> None:
    """The sum here is 0, so p is 1. It was 0.94: of the flips that give 0 too, some gave 1e-16."""
    thirds = [[0, -2, -3], [1, 0, -3, 0], [-3, -1, 3, 0], [-2], [2, 2, 2], [1], [3]]
    changes = [count / 3 for group in thirds for count in group]
    clusters = [number for number, group in enumerate(thirds) for _ in group]
    assert sign_flip_p(changes, clusters) == 1


def test_many_clusters_have_a_reproducible_one_close_to_the_t_test() -> None:
    old, new, clusters = models(3, 161)
    found = difference("pass@1", old, new, clusters)
    assert found is not None
    assert found.p_sign_flip == pytest.approx(found.p_value, abs=0.03)
    again = difference("pass@1", old, new, clusters)
    assert again == found


@pytest.mark.slow
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_equals_statsmodels(p_values: list[float | None]) -> None:
    from statsmodels.stats.multitest import multipletests

    known = [p for p in p_values if p is not None]
    expected = iter(multipletests(known, method="holm")[1] if known else [])
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        if p is None:
            assert adjusted is None
        else:
            assert adjusted == pytest.approx(next(expected), abs=1e-12)


# --- where a t-interval would be dishonest


def test_no_change_is_no_proof_of_none() -> None:
    """Two equal columns gave no interval, so the gate could say nothing of equal checkpoints."""
    clusters = [f"c{i // 4}" for i in range(640)]
    found = change([0.0] * 640, clusters, bounds=(0, 1), confidence=0.9)
    assert found.method is IntervalMethod.NO_CHANGE
    assert found.high == -found.low == pytest.approx(1 - 0.05 ** (1 / 160))  # type: ignore[operator]
    assert found.low > -0.03  # type: ignore[operator]
    few = change([0.0] * 8, clusters[:8], bounds=(0, 1), confidence=0.9)
    assert few.low < -0.5  # type: ignore[operator]
    assert (lower_tail_p(found), two_sided_p(found)) == (1.0, 1.0)
    assert change([0.0] * 4, clusters[:4], bounds=(0, 1), confidence=0.9).low is None


@pytest.mark.parametrize("groups", [2, 4, 5, 12])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_change_of_everything_has_the_exact_p_value(groups: int, sign: int) -> None:
    """Interval and p-value must agree: p < 5 % where the 90 % interval excludes zero."""
    found = change([float(sign)] * groups, range(groups), bounds=(0, 1), confidence=0.9)
    p_drop = lower_tail_p(found)
    assert p_drop == (2.0**-groups if sign < 0 else 1 - 2.0**-groups)
    assert two_sided_p(found) == 2.0 ** (1 - groups)
    assert (found.high < 0) == (p_drop < 0.05)  # type: ignore[operator]
    assert two_sided_p(found) == sign_flip_p([float(sign)] * groups, list(range(groups)))


def test_one_cluster_has_no_p_value() -> None:
    found = difference("pass@1", [0.0, 0.5], [1.0, 1.0], ["a", "a"])
    assert found is not None
    assert (found.p_value, found.p_sign_flip, found.detectable) == (None, None, None)
    assert difference("pass@1", [], [], []) is None


# --- properties

columns = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 10), st.integers(0, 6)), min_size=2, max_size=40
)


@settings(max_examples=60)
@given(columns, st.sampled_from([0.9, 0.95]))
def test_swapping_the_models_turns_the_sign(
    rows: list[tuple[int, int, int]], confidence: float
) -> None:
    old, new = [row[0] / 10 for row in rows], [row[1] / 10 for row in rows]
    clusters = [row[2] for row in rows]
    one = difference("pass@1", old, new, clusters, confidence=confidence)
    two = difference("pass@1", new, old, clusters, confidence=confidence)
    assert one is not None
    assert two is not None
    assert one.estimate.mean == pytest.approx(-two.estimate.mean)
    assert one.p_value == (None if two.p_value is None else pytest.approx(two.p_value))
    if one.estimate.low is not None:
        assert one.estimate.low == pytest.approx(-two.estimate.high)
        lower = lower_tail_p(one.estimate)
        assert (lower < (1 - confidence) / 2) == (one.estimate.high < 0)
    assert one.estimate.mean == pytest.approx(one.candidate - one.baseline, abs=1e-9)


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_success(n: int) -> None:
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        subsets = list(itertools.combinations(range(n), k))
        share = sum(min(subset) < c for subset in subsets) / len(subsets)
        assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-15)


# --- stored runs


def test_fixed_and_broken_problems(tmp_path: Path) -> None:
    def old(problem: int, sample: int) -> bool:
        return problem < 10 or (problem == 20 and sample == 0)

    def new(problem: int, sample: int) -> bool:
        return 2 <= problem < 17 or (problem == 20 and sample < 2)

    a = read_run(store_run(tmp_path, "a", old, n=4, problems=24) / "results.json")
    b = read_run(store_run(tmp_path, "b", new, n=4, problems=24) / "results.json")
    changes = problem_changes(a, b)
    assert [key.rpartition("-")[2] for key in changes.broken] == ["0]", "1]"]
    assert [key.rpartition("-")[2] for key in changes.fixed] == [f"{i}]" for i in range(10, 17)]
    assert (changes.better, changes.worse) == (8, 2)
    (item,) = compare([(a, b)])
    by_name = {x.metric: x for x in item.differences}
    assert by_name["pass@1"].estimate.mean == pytest.approx((5 + 1 / 4) / 24)
    assert "pass@5" not in by_name  # n = 4
    assert not by_name["pass_without_update"].higher_is_better
    assert all(x.p_holm >= x.p_value for x in item.differences)  # type: ignore[operator]
    assert item.cautions == ()


def test_the_primary_metric_is_a_family_of_its_own(tmp_path: Path) -> None:
    """Among 13 metrics, pass@1 was found half as often as alone."""
    runs = [
        read_run(store_run(tmp_path, name, passes, n=4, problems=24) / "results.json")
        for name, passes in (
            ("a", lambda p, s: s < p % 4),
            ("b", lambda p, s: s < (p + 1) % 4),
            ("c", lambda p, s: s < 1 + p % 4),
        )
    ]
    found = compare([(runs[0], runs[1]), (runs[0], runs[2])])
    first = [item.differences[0] for item in found]
    assert [(x.metric, x.family) for x in first] == [("pass@1", "primary")] * 2
    assert [x.p_holm for x in first] == holm([x.p_value for x in first])
    others = [x for item in found for x in item.differences[1:]]
    assert len(others) > 10
    assert {x.family for x in others} == {"exploratory"}
    assert [x.p_holm for x in others] == holm([x.p_value for x in others])
    (alone,) = compare([(runs[0], runs[2])], ["es", "pass@1"])
    assert [x.p_holm for x in alone.differences] == [x.p_value for x in alone.differences]


# --- single problems

problem_counts = st.lists(
    st.integers(1, 12).flatmap(
        lambda n: st.integers(1, 12).flatmap(
            lambda m: st.tuples(st.integers(0, n), st.just(n), st.integers(0, m), st.just(m))
        )
    ),
    max_size=30,
)


@settings(deadline=None)
@given(problem_counts)
def test_changed_problems_are_benjamini_and_hochberg_on_fishers_test(
    counts: list[tuple[int, int, int, int]],
) -> None:
    """Over those problems whose samples do not all pass or all fail."""
    tested = [x for x in counts if 0 < x[0] + x[2] < x[1] + x[3]]
    ordered = sorted(fisher_p(*x) for x in tested)
    passing = [
        p for rank, p in enumerate(ordered, 1) if p * len(tested) / rank <= FALSE_DISCOVERIES
    ]
    limit = max(passing, default=-1.0)
    for item, sign in zip(counts, changed_problems(counts), strict=True):
        old, n, new, m = item
        certain = item in tested and fisher_p(*item) <= limit
        assert sign == (((new * n > old * m) - (new * n < old * m)) if certain else 0)
        swapped = changed_problems([(new, m, old, n) for old, n, new, m in counts])
    if counts:
        assert swapped == [-x for x in changed_problems(counts)]


@settings(deadline=None)
@given(problem_counts, st.randoms(use_true_random=False))
def test_too_few_samples_are_called_so_only_where_no_count_could_be_named(
    counts: list[tuple[int, int, int, int]], random: Random
) -> None:
    """Two or four samples gave "0 problems fixed, 0 broken", as if something could have been."""
    if nameable(counts):
        return
    for _ in range(5):
        others = []
        for old, n, new, m in counts:
            first = random.randint(max(0, old + new - m), min(n, old + new))
            others.append((first, n, old + new - first, m))
        assert not any(changed_problems(others))
    extreme = []
    for old, n, new, m in counts:
        first = max(0, old + new - m)
        extreme.append((first, n, old + new - first, m))
    assert not any(changed_problems(extreme))


def test_what_could_be_named_depends_on_samples_and_passes() -> None:
    assert not nameable([(0, 1, 1, 1)] * 30)
    assert nameable([(2, 4, 2, 4)] * 30)
    assert not nameable([(2, 4, 2, 4)] * 2 + [(0, 4, 1, 4)] * 20)
    assert nameable([(5, 10, 5, 10)] + [(0, 10, 1, 10)] * 95)
    assert nameable([(4, 4, 4, 4), (0, 1, 0, 1)])  # nothing changed, which is certain
    assert nameable([])


# --- sentences


def test_a_sentence_says_where_holm_takes_back_what_the_interval_shows() -> None:
    old, new, clusters = models(4, 40)
    found = difference("pass@1", old, new, clusters)
    assert found is not None
    wide = replace(found.estimate, mean=0.05, low=0.004, high=0.096)
    primary = replace(found, estimate=wide, p_value=0.033, p_holm=0.27, samples=(10, 10))
    item = replace(primary, family=MetricFamily.EXPLORATORY)
    said = sentence(item, "a", "b", "arena-mini")
    assert said.startswith(
        "b is not shown to differ from a in pass@1 on arena-mini: difference +5.0 points, not "
        "significant after Holm's correction (p = 0.270; 95 % CI +0.4 to +9.6; "
    )
    assert "not significant" not in sentence(replace(item, p_holm=0.04), "a", "b", "t")
    assert "p = 0.040, Holm" in sentence(replace(item, p_holm=0.04), "a", "b", "t")
    assert "p = 0.04996, Holm" in sentence(replace(item, p_holm=0.04996), "a", "b", "t")
    assert "p < 0.001, Holm" in sentence(replace(item, p_holm=1e-9), "a", "b", "t")
    assert "p = 0.033; " in sentence(replace(item, p_holm=None), "a", "b", "t")
    unsure = replace(item, estimate=replace(wide, low=-0.01), p_value=0.1)
    assert "Holm's correction" not in sentence(unsure, "a", "b", "t")
    assert "p = 0.270, Holm" in sentence(unsure, "a", "b", "t")
    # The primary metric's verdict does not depend on what else was compared; Holm's is beside it.
    said = sentence(primary, "a", "b", "arena-mini")
    assert said.startswith("b is 5.0 points better than a in pass@1 on arena-mini (95 % CI 0.4 to")
    assert "p = 0.033 (Holm: 0.270); " in said


def test_a_headline_is_the_pairs_own_test() -> None:
    """Three pages gave three verdicts on one difference, each from another family of tests."""
    old, new, clusters = models(4, 40)
    found = difference("pass@1", old, new, clusters)
    assert found is not None
    for p_value, expected in ((0.049, "better"), (0.051, "open"), (None, "open")):
        item = replace(found, estimate=replace(found.estimate, mean=0.05), p_value=p_value)
        for p_holm in (None, 0.001, 0.9):
            for confidence in (0.9, 0.99):
                one = replace(item, p_holm=p_holm, confidence=confidence)
                assert headline(one) == difference_json(one)["headline"] == expected
        worse = replace(item, estimate=replace(item.estimate, mean=-0.05))
        assert headline(worse) == {"better": "worse"}.get(expected, "open")
        fewer = replace(worse, metric="no_code")
        assert headline(fewer) == expected
    text = headline_text(replace(found, p_value=0.5), "a", "b", "t")
    assert text.startswith("b is not shown to differ from a in pass@1 on t: ")


@pytest.mark.parametrize("wrong", [(3, 2, 0, 1), (0, 0, 1, 1), (-1, 2, 0, 1)])
def test_counts_that_no_run_has_are_refused(wrong: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="samples"):
        changed_problems([wrong])
