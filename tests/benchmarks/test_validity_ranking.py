"""The figures of the study of metrics: AUC by its definition, correlations, and what is counted."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

OUTCOMES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), st.booleans(), st.sampled_from("abcd")),
    min_size=1,
    max_size=30,
)
"""Score, passed, cluster."""


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield


@pytest.fixture(scope="module")
def ranking(_importable: None) -> ModuleType:
    from validity import ranking

    return ranking


@pytest.fixture(scope="module")
def study(_importable: None) -> ModuleType:
    from validity import study

    return study


def _by_definition(scores: Sequence[float], passed: Sequence[bool]) -> float | None:
    right = [score for score, good in zip(scores, passed, strict=True) if good]
    wrong = [score for score, good in zip(scores, passed, strict=True) if not good]
    won = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(right, wrong)]
    return sum(won) / len(won) if won else None


def _tau_b(scores: Sequence[float], passed: Sequence[bool]) -> float:
    pairs = list(itertools.combinations(zip(scores, passed, strict=True), 2))
    signs = [(np.sign(a[0] - b[0]), np.sign(int(a[1]) - int(b[1]))) for a, b in pairs]
    agreeing = sum(x * y for x, y in signs)
    return agreeing / math.sqrt(sum(x * x for x, _ in signs) * sum(y * y for _, y in signs))


@given(OUTCOMES)
def test_auc_is_the_share_of_comparisons_won(
    ranking: ModuleType, outcomes: list[tuple[float, bool, str]]
) -> None:
    scores, passed, _ = zip(*outcomes, strict=True)
    expected = _by_definition(scores, passed)
    assert ranking.auc(scores, passed) == (None if expected is None else pytest.approx(expected))


@given(OUTCOMES)
def test_correlations_by_their_definitions(
    ranking: ModuleType, outcomes: list[tuple[float, bool, str]]
) -> None:
    scores, passed, _ = zip(*outcomes, strict=True)
    if len(set(passed)) < 2:
        assert ranking.kendall(scores, passed) is ranking.spearman(scores, passed) is None
    elif len(set(scores)) < 2:
        assert ranking.kendall(scores, passed) == ranking.spearman(scores, passed) == 0
    else:
        assert ranking.kendall(scores, passed) == pytest.approx(_tau_b(scores, passed))
        # Against two outcomes, AUC and Spearman's correlation have the same sign.
        side = _by_definition(scores, passed)
        assert side is not None
        rho = ranking.spearman(scores, passed)
        assert rho == pytest.approx(0, abs=1e-9) if side == 0.5 else rho * (side - 0.5) > 0


@given(OUTCOMES)
def test_bootstrap_draws_whole_clusters(
    ranking: ModuleType, outcomes: list[tuple[float, bool, str]]
) -> None:
    """Against resamples that are written out answer by answer."""
    answers = [ranking.Scored(score, passed, 0, name) for score, passed, name in outcomes]
    result = ranking.pooled_auc(answers, resamples=50, seed=3)
    names = sorted({answer.cluster for answer in answers})
    drawn = np.random.default_rng(3).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=50
    )
    values = []
    for counts in drawn:
        copies = [
            answer
            for name, count in zip(names, counts, strict=True)
            for answer in answers
            if answer.cluster == name
            for _ in range(count)
        ]
        value = _by_definition([a.score for a in copies], [a.passed for a in copies])
        values += [] if value is None else [value]
    assert result.mean == ranking.auc([a.score for a in answers], [a.passed for a in answers])
    assert result.n == len(answers)
    assert result.clusters == len(names)
    if result.low is not None:
        assert result.low == pytest.approx(np.quantile(values, 0.025))
        assert result.high == pytest.approx(np.quantile(values, 0.975))
    else:
        assert result.mean is None or len(names) == 1 or max(values) - min(values) < 1e-8


def test_within_pairs_compares_answers_to_one_pair_only(ranking: ModuleType) -> None:
    """A metric that is high for one pair and low for another can still rank each one's answers."""
    answers = [
        ranking.Scored(score, passed, pair, pair)
        for pair, level in (("easy", 0.9), ("hard", 0.1))
        for score, passed in ((level, False), (level + 0.05, True))
    ]
    answers += [
        ranking.Scored(0.99, True, "all pass", "c"),
        ranking.Scored(0.1, True, "all pass", "c"),
    ]
    within = ranking.within_pairs(answers, ranking.auc, (0, 1))
    assert (within.mean, within.n, within.excluded) == (1.0, 2, 1)
    assert ranking.pooled_auc(answers).mean < 1


def test_the_best_answer_may_be_a_wrong_one(ranking: ModuleType) -> None:
    passed = [True, False, True, False]
    assert ranking.best_passes([0.1, 0.9, 0.8, 0.2], passed) == 0
    assert ranking.best_passes([0.9, 0.9, 0.9, 0.2], passed) == pytest.approx(2 / 3)
    assert ranking.any_passes([0.1, 0.9, 0.8, 0.2], passed) == 0.5
    assert ranking.best_passes([0.1, 0.9], [True, True]) is None


def _graded(study: ModuleType, **changes: Any) -> Any:
    scores = {"ES": 0.5, "EM": 0.0, "ES*": 0.25, "EM*": -1.5}
    scores |= changes.pop("scores", {})
    fields = {
        "pair": "p", "cluster": "c", "library": "l", "update_type": "moved", "kind": "mutated",
        "passed": False,
    }  # fmt: skip
    return study.Graded(**(fields | changes), scores=scores)


def test_confusions_count_the_worst(study: ModuleType) -> None:
    graded = [
        _graded(study, pair="a", scores={"ES": 0.97}, detail="t failed"),
        _graded(study, pair="b", scores={"ES": 0.95}),
        _graded(study, pair="c", passed=True, kind="rewritten", scores={"ES": 0.6}),
        _graded(study, pair="d", passed=True, kind="renamed", scores={"ES": 0.7}),
        _graded(study, pair="e", passed=True, kind="stale", scores={"ES": 0.99}),
    ]
    near, far = study.confusions(graded).values()
    assert near["share"]["mean"] == 0.5
    assert near["kinds"] == {"mutated": 1}
    assert near["examples"] == [{"pair": "a", "kind": "mutated", "es": 0.97, "detail": "t failed"}]
    assert far["share"]["mean"] == pytest.approx(1 / 3)
    assert far["kinds"] == {"rewritten": 1}


def test_contrasts_go_by_the_verdict_and_not_by_the_kind(study: ModuleType) -> None:
    """A mutant that passes is not counted as wrong, nor a rewrite that fails as right."""
    graded = [
        _graded(study, kind="mutated", passed=True),
        _graded(study, kind="mutated"),
        _graded(study, kind="rewritten", passed=True),
        _graded(study, kind="rewritten"),
    ]
    chosen = study.contrasts(graded)["one slip / all rewrites at once"]
    assert [(a.kind, a.passed) for a in chosen] == [("mutated", False), ("rewritten", True)]


def test_measures_that_a_pair_lacks_are_left_out(study: ModuleType) -> None:
    from recode_eval.scoring.similarity import similarity_scores

    similarity = similarity_scores("a = 1", "a = 2")
    assert set(study.scores_of(similarity, {})) == {"ES", "EM", "ES*", "EM*"}
    scores = study.scores_of(similarity, {"stale_api": 1.0, "new_api": 1.0})
    assert set(scores) == set(study.METRICS)
    assert (scores["1 - stale_api"], scores["new_api"], scores["both"]) == (0, 1, 0)


@pytest.mark.slow
def test_small_run(tmp_path: Path) -> None:
    """One library from beginning to end; the tables can be printed again from the file."""
    target = tmp_path / "study.json"
    command = [sys.executable, str(BENCHMARKS / "metric_validity.py")]
    options = ["--libraries", "jinja2", "--rewrites", "1", "--mutants", "1", "--json", str(target)]
    first = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=500, check=False
    )
    assert first.returncode == 0, first.stderr
    stored = json.loads(target.read_text(encoding="utf-8"))
    assert stored["about"]["graded"] == len(stored["answers"]) > 40
    assert stored["about"]["reference_does_not_pass"] == []
    passing = {kind["kind"]: (kind["passing"], kind["answers"]) for kind in stored["kinds"]}
    assert passing["reference"][0] == passing["reference"][1] == stored["about"]["pairs"]
    assert passing["stale"][0] == passing["cut off"][0] == 0
    again = subprocess.run(
        [*command, "--again", str(target)], capture_output=True, text=True, timeout=100, check=False
    )
    assert again.stdout == first.stdout


def test_unknown_libraries_are_named() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "metric_validity.py"), "--libraries", "nothing"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no pairs of nothing" in done.stderr
