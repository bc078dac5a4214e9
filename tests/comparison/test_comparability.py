"""The one rule of what may be compared, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from altered_results import altered, base_run
from stored_runs import store_run

from recode_eval.comparison.comparability import (
    RULES,
    Comparator,
    Mismatch,
    Strictness,
    comparability_key,
    differences,
    facts,
    mismatches,
    remarks,
)
from recode_eval.errors import DataError
from recode_eval.leaderboard.text import digest
from recode_eval.run.results_file import ResultsFile, load_runs

change = msgspec.structs.replace


@pytest.fixture(scope="module")
def run() -> ResultsFile:
    return base_run()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.field)
def test_every_rule_finds_its_own_difference_and_nothing_else(rule: Any, run: ResultsFile) -> None:
    other = altered(run, rule.field)
    found = differences(facts(run), facts(other), ("the baseline", "the candidate"))
    assert {item.what for item in found} == {rule.field}
    assert {item.level for item in found} == {rule.level}
    assert all("{" not in item.text for item in found)
    strict = rule.level is Strictness.STRICT
    assert bool(mismatches(run, other)) == strict
    assert bool(remarks(run, other)) == (not strict)
    keys = [digest(comparability_key(r.results, digest)) for r in (run, other)]
    assert (keys[0] != keys[1]) == rule.board
    assert mismatches(run, run) == []
    assert remarks(run, run) == []


def test_sampling_names_every_parameter_and_not_the_seed(run: ResultsFile) -> None:
    texts = [item.text for item in mismatches(run, altered(run, "sampling"))]
    assert texts == ["temperature differs: 0.8 and 0.1", "top_p differs: 0.95 and 0.5"]
    results = change(run.results, sampling=change(run.results.sampling, seed=99))
    assert mismatches(run, ResultsFile("seed", results, run.scores)) == []


def test_a_difference_that_follows_from_another_is_not_said_twice(run: ResultsFile) -> None:
    both = altered(altered(run, "scoring"), "data")
    assert [item.what for item in mismatches(run, both)] == ["data"]


def graded(run: ResultsFile, isolation: str) -> ResultsFile:
    """Return the run as if graded with this isolation, which its hash of grading covers."""
    scoring = {**run.results.scoring, "hash": f"hash of {isolation}", "isolation": isolation}
    return ResultsFile("graded", change(run.results, scoring=scoring), run.scores)


@pytest.mark.parametrize(
    ("a", "b", "again"),
    [("split", "program", "split"), ("test", "split", "split"), ("program", "test", "test")],
)
def test_another_isolation_is_said_once_with_the_command_that_mends_it(
    run: ResultsFile, a: str, b: str, again: str
) -> None:
    """Only `the rules of grading differ` was said, and the command given graded as before."""
    [found] = mismatches(graded(run, a), graded(run, b))
    assert found.text == (
        f"the isolation differs: {a} and {b}; grade one run again: recode-eval score RUN "
        f"--isolation {again}"
    )


def test_boards_of_the_first_isolation_keep_their_keys(run: ResultsFile) -> None:
    """Older than this condition: a key that named it would break every link to such a board."""
    assert "isolation" not in comparability_key(graded(run, "program").results, digest)
    assert comparability_key(graded(run, "split").results, digest)["isolation"] == "split"


def test_a_wider_limit_tolerates_more(run: ResultsFile) -> None:
    for field in ("unscored", "faulty"):
        assert mismatches(run, altered(run, field))
        assert mismatches(run, altered(run, field), 0.5) == []


def test_the_board_key_has_the_same_content_as_before_it_was_made_from_the_table(
    run: ResultsFile,
) -> None:
    """Another key would break every link to a board; `identity` says it all but these four."""
    found = comparability_key(run.results, digest)
    identity = {key: value for key, value in run.results.identity.items() if key != "model"}
    identity["sampling"] = {k: v for k, v in identity["sampling"].items() if k != "seed"}
    assert {k: v for k, v in found.items() if k in identity} == identity
    assert found.keys() - identity.keys() == {"scoring", "problems", "clusters", "tested"}


def test_only_the_rules_of_a_board_are_applied_by_the_browser() -> None:
    assert {rule.test for rule in RULES if not rule.board} == set(Comparator)
    assert isinstance(Mismatch("n", "text").level, Strictness)


def test_a_folder_of_out_stands_for_its_only_models_runs(tmp_path: Path) -> None:
    """Bug: `compare runs/a runs/b` found nothing in what `--out runs/a` had written."""
    store_run(tmp_path, "one", lambda problem, sample: True, problems=4, n=1)
    [run] = load_runs([tmp_path])
    assert run.results["model"]["name"] == "one"
    store_run(tmp_path, "other", lambda problem, sample: True, problems=4, n=1)
    with pytest.raises(DataError, match=r"2 models; name one: .*one, .*other\."):
        load_runs([tmp_path])
