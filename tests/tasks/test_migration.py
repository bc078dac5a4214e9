"""The task kind `migration`: what rows it takes, what it refuses, and what it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from migration_rows import NEW, OLD, migration_row, write_pairs

from recode_eval.errors import DataError
from recode_eval.run.validate import OwnChecks, OwnPrograms, expectations
from recode_eval.tasks.base import Measuring
from recode_eval.tasks.migration import MigrationTask, parse_row
from recode_eval.tasks.registry import create_task
from recode_eval.tasks.rows import RowError

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.tasks.base import Problem, TaskData


def load(tmp_path: Path, *rows: dict[str, Any], skip: bool = False) -> TaskData:
    task = create_task("migration")
    return task.load(str(write_pairs(tmp_path / "pairs.jsonl", *rows)), skip_bad_rows=skip)


def problem(tmp_path: Path, **changes: Any) -> Problem:
    return load(tmp_path, migration_row(**changes)).problems[0]


def test_an_answer_runs_with_the_new_release_and_the_old_code_with_the_old(tmp_path: Path) -> None:
    task = create_task("migration")
    assert isinstance(task, MigrationTask)
    one = problem(tmp_path)
    programs = task.programs(one, "answer = 1")
    assert {name: p.environment for name, p in programs.items()} == {"new_release": "numpy-2.4.6"}
    assert programs["new_release"].candidate == "answer = 1"
    [(name, program)] = task.own_programs(one)
    assert (name, program.environment) == ("old code with numpy 1.26.4", "numpy-1.26.4")
    assert program.candidate == OLD


def test_what_validation_expects_of_a_pair(tmp_path: Path) -> None:
    task = create_task("migration")
    assert isinstance(task, OwnPrograms)
    assert isinstance(task, OwnChecks)
    assert isinstance(task, Measuring)
    expected = [
        (e.name, e.program.environment, e.program.candidate, e.passes)
        for e in expectations(task, problem(tmp_path))
    ]
    assert expected == [
        ("reference with the new release", "numpy-2.4.6", NEW, True),
        ("stale solution with the new release", "numpy-2.4.6", OLD, False),
        ("old code with numpy 1.26.4", "numpy-1.26.4", OLD, True),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"new_code": None}, "new_code is missing"),
        ({"new_code": 7}, "new_code is of type int"),
        ({"new_code": "  "}, "new_code is empty"),
        ({"new_code": "def f(:"}, "new_code is not Python"),
        ({"old_code": "return ("}, "old_code is not Python"),
        ({"tests": "x = 1"}, "holds no function named test"),
        ({"tests": "def test_a(:"}, "tests is not Python"),
        ({"id": "Numpy Common"}, "the field id must be"),
        ({"id": "../x"}, "the field id must be"),
        ({"dependency": "num/py"}, "the field dependency must be"),
        ({"new_version": "latest"}, "the field new_version must be a version"),
        ({"new_version": 2.1}, "new_version is of type float"),
        ({"new_version": "1.26.4"}, "are the same"),
        ({"new_version": "9.9.9"}, "recode-eval sandbox lock numpy==9.9.9"),
        ({"split": "dev"}, "split must be one of train, validation, test"),
        ({"update_type": "gone"}, "update_type must be one of renamed"),
        ({"apis": []}, "apis must name"),
        ({"apis": ["numpy in1d"]}, "apis must name"),
        ({"apis": "numpy.in1d"}, "apis must be a list"),
        ({"old_use": ["np.("]}, "old_use"),
        ({"new_use": ["_"]}, "new_use"),
        ({"preload": ["numpy", 3]}, "preload must be a list of text"),
        ({"surprise": "x"}, "unknown field 'surprise'"),
        ({"description": "\ud800"}, "lone surrogate"),
    ],
)
def test_a_row_that_breaks_the_schema_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        parse_row(migration_row(**changes))


@given(
    st.dictionaries(
        st.sampled_from(sorted(migration_row())),
        st.none()
        | st.integers()
        | st.text(max_size=20)
        | st.lists(st.text(max_size=5), max_size=3),
        min_size=1,
        max_size=3,
    )
)
def test_no_row_breaks_the_parser(changes: dict[str, Any]) -> None:
    try:
        row = parse_row(migration_row(**changes))
    except RowError:
        return
    assert row.tests


def test_bad_rows_are_named_and_can_be_left_out(tmp_path: Path) -> None:
    rows = migration_row(), migration_row(id="numpy-two", tests="x = 1"), migration_row()
    with pytest.raises(DataError, match=r"2 bad row.*row 2 of pairs.jsonl.*occurs twice"):
        load(tmp_path, *rows)
    data = load(tmp_path, *rows, skip=True)
    assert [p.id for p in data.problems] == ["numpy-common"]
    assert len(data.bad_rows) == 2


def test_an_api_in_both_splits_is_refused(tmp_path: Path) -> None:
    """A model trained on the one pair would be tested on the same change in the other."""
    other = migration_row(id="numpy-other", split="train", apis=["numpy.trapz", "numpy.in1d"])
    with pytest.raises(DataError, match=r"numpy\.in1d occurs in several splits"):
        load(tmp_path, migration_row(), other)


def test_pairs_with_an_api_in_common_are_one_cluster(tmp_path: Path) -> None:
    apis = [["a.x"], ["a.y", "a.x"], ["a.z", "a.y"], ["a.q"]]
    rows = [migration_row(id=f"numpy-{i}", apis=names) for i, names in enumerate(apis)]
    clusters = [p.cluster for p in load(tmp_path, *rows).problems]
    assert clusters[0] == clusters[1] == clusters[2] != clusters[3]


@pytest.mark.parametrize(
    ("code", "measures"),
    [
        (OLD, {"stale_api": 1.0, "new_api": 0.0}),
        (NEW, {"stale_api": 0.0, "new_api": 1.0}),
        (f"{NEW}\nfrom numpy import in1d as f\n", {"stale_api": 1.0, "new_api": 1.0}),
        ("def common(a, b):\n    return [x in b for x in a]", {"stale_api": 0.0, "new_api": 0.0}),
        ("# numpy.in1d\ntext = 'numpy.isin'", {"stale_api": 0.0, "new_api": 0.0}),
        ("import numpy as np\nnp.in1d(", {"stale_api": 0.0, "new_api": 0.0}),
        (None, {"stale_api": 0.0, "new_api": 0.0}),
    ],
)
def test_the_rates_of_api_use(tmp_path: Path, code: str | None, measures: dict[str, float]) -> None:
    task = create_task("migration")
    assert isinstance(task, MigrationTask)
    assert task.measures(problem(tmp_path), code) == measures


def test_a_change_that_cannot_be_seen_has_no_rate(tmp_path: Path) -> None:
    task = create_task("migration")
    assert isinstance(task, MigrationTask)
    assert task.measures(problem(tmp_path, old_use=[], new_use=None), NEW) == {}


def test_patterns_that_do_not_fit_their_own_code_are_faults(tmp_path: Path) -> None:
    task = create_task("migration")
    assert isinstance(task, MigrationTask)
    assert task.faults(problem(tmp_path)) == []
    odd = problem(tmp_path, old_use=["numpy.trapz", "numpy"], new_use=["numpy.in1d"])
    assert task.faults(odd) == [
        "old_use numpy.trapz: not in the old code",
        "old_use numpy: still in the new code",
        "new_use numpy.in1d: not in the new code",
    ]


def test_a_test_that_uses_nothing_of_the_program_is_a_fault(tmp_path: Path) -> None:
    """Such a pair was called sound, as long as the old program could not even be imported."""
    task = create_task("migration")
    assert isinstance(task, MigrationTask)
    tests = (
        "def helper():\n    return common([], [])\n\n"
        "def test_by_a_helper():\n    assert helper() == []\n"
    )
    assert task.faults(problem(tmp_path, tests=tests)) == []
    vacuous = problem(tmp_path, tests="def test_nothing():\n    common = 1\n    assert 1\n")
    assert task.faults(vacuous) == [
        "test_nothing: uses no name that the program defines, so it tests nothing"
    ]


def test_the_splits_of_the_bundled_pairs() -> None:
    tested = create_task("migration").load(None, skip_bad_rows=False).problems
    trained = create_task("migration-train").load(None, skip_bad_rows=False).problems
    several = create_task("migration-multi").load(None, skip_bad_rows=False).problems
    assert not {p.id for p in tested} & {p.id for p in trained}
    assert {p.payload.split for p in tested} == {"test"}
    assert {p.payload.split for p in trained} == {"train"}
    assert {p.id for p in several} < {p.id for p in tested}
    assert all(len(p.payload.apis) > 1 for p in several)
