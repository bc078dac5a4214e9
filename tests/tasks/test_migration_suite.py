"""The bundled pairs: how they are composed, and, by execution, that they are what they claim.

Every run proves the pairs of a tenth of the libraries, another tenth every day, and every pair that
is new or changed; `make verify-migration` proves all of them.
"""

from __future__ import annotations

import datetime as dt
import difflib
import io
import os
import re
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from recode_eval.mining.authoring.texts import near_duplicate
from recode_eval.resources import resource_dir
from recode_eval.run.proven import Proven
from recode_eval.run.validate import validate
from recode_eval.sandbox import Limits, Program, Test, open_router
from recode_eval.scoring.leaks import leaked
from recode_eval.tasks.base import Problem, Task
from recode_eval.tasks.migration import KINDS, MigrationRow, composition
from recode_eval.tasks.registry import create_task

TASKS = ("migration", "migration-train", "migration-validation")
FIRST_RECENT = dt.date(2025, 5, 30)
SHARES = 10
"""Every run executes the pairs of a tenth of the libraries, another one every day."""
PLACES = 10
"""Tests that they are divided among, so that workers share them."""
LIBRARIES_VARIABLE = "RECODE_EVAL_MIGRATION_LIBRARIES"


@cache
def rows() -> tuple[MigrationRow, ...]:
    return tuple(
        problem.payload
        for task in TASKS
        for problem in create_task(task).load(None, skip_bad_rows=False).problems
    )


def test_there_are_enough_pairs_of_enough_libraries() -> None:
    libraries = composition(rows())["dependency"]
    assert len(rows()) >= 800
    assert len(libraries) >= 45
    assert max(libraries.values()) <= 0.08 * len(rows())


def test_most_pairs_are_to_test_with() -> None:
    assert composition(rows())["split"]["test"] >= 0.6 * len(rows())


def test_many_changes_were_made_in_the_last_eighteen_months() -> None:
    """As of November 2026: both releases are from then or later."""
    recent = [row for row in rows() if row.changed_after and row.changed_after >= FIRST_RECENT]
    assert len(recent) >= 150


def test_the_pages_give_the_right_numbers() -> None:
    counts = composition(rows())
    checkout = Path(__file__).parents[2]
    page = (checkout / "tasks" / "migration" / "README.md").read_text(encoding="utf-8")
    page = " ".join(page.split())
    splits = (counts["split"][name] for name in ("test", "train", "validation"))
    numbers = len(rows()), *splits
    words = "{} programs ({} to test with, {} to train with, {} to choose by)"
    assert words.format(*numbers) in page
    assert f"{counts['updates']['several']} of them meet two or more changes" in page
    front = (checkout / "README.md").read_text(encoding="utf-8")
    libraries = len(counts["dependency"])
    assert f"{numbers[0]} pairs ({numbers[1]} to test with) of {libraries} libraries" in front


def test_every_kind_of_change_occurs() -> None:
    assert set(composition(rows())["update_type"]) == set(KINDS)


def test_every_row_says_when_it_changed_and_whose_licence_it_has() -> None:
    days: dict[tuple[str, str, str], set[object]] = {}
    licences: dict[str, set[str]] = {}
    for row in rows():
        assert row.changed_after is not None, row.id
        assert row.changed_on is not None, row.id
        release = row.dependency, row.old_version, row.new_version
        days.setdefault(release, set()).add((row.changed_after, row.changed_on))
        licences.setdefault(row.dependency, set()).add(row.license)
    assert {key: found for key, found in days.items() if len(found) > 1} == {}
    assert {key: found for key, found in licences.items() if len(found) > 1 or "" in found} == {}


def test_every_row_names_the_change_it_is_about() -> None:
    for row in rows():
        assert row.changes, row.id
        assert all(change.startswith(f"{row.dependency}-") for change in row.changes), row.id


@pytest.mark.parametrize(
    "one_change",
    [
        ("scikit-learn-dense-dummy-columns", "scikit-learn-review-topics"),
        ("scikit-learn-omp-normalised-columns", "scikit-learn-ridge-on-normalised-columns"),
        ("seaborn-complaint-counts", "seaborn-delivery-time-box"),
        ("numpy-genfromtxt-bird-census", "numpy-loadtxt-converter-marathon"),
        ("numpy-itemset-ptp-heat-plate", "numpy-bytes-codec-telemetry"),
        ("xarray-mean-attrs-lake-report", "xarray-where-ufunc-attrs-soil"),
        ("pandas-string-dtype-form-profile", "pandas-astype-str-address-labels"),
        ("pandas-to-numpy-read-only-terrain", "pandas-chained-assignment-invoices"),
        ("scipy-simps-reservoir-volume", "scipy-cumtrapz-romberg-cyclist"),
        ("sqlalchemy-museum-engine-execute", "sqlalchemy-archive-bound-metadata"),
        ("sqlalchemy-choir-string-relationships", "sqlalchemy-photo-deferred-columns"),
        ("pydantic-signup-text-options", "pydantic-rain-report-aliases-example"),
        ("pydantic-garden-shapes-const", "pydantic-lottery-ticket-conlist"),
    ],
)
def test_rows_about_one_change_lie_on_one_side(one_change: tuple[str, str]) -> None:
    """Leak: rows about one entry of the notes, by other APIs, were in training and in the test."""
    splits = {row.id: row.split for row in rows() if row.id in one_change}
    assert len(splits) == 2
    assert len(set(splits.values())) == 1


def test_some_libraries_occur_in_the_test_split_only() -> None:
    trained = {row.dependency for row in rows() if row.split == "train"}
    assert trained
    assert len({row.dependency for row in rows()} - trained) >= 5


def test_enough_pairs_meet_several_changes_at_once() -> None:
    assert composition(rows())["updates"]["several"] >= 40


def _tokens(code: str) -> list[str]:
    skipped = {tokenize.COMMENT, tokenize.NL}
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return [token.string for token in tokens if token.type not in skipped]


def _is_one_token_edit(row: MigrationRow) -> bool:
    """Whether replacing one word by another, however often, makes the new code of the old."""
    old, new = _tokens(row.old_code), _tokens(row.new_code)
    changes = set()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        if b - a != 1 or d - c != 1:
            return False
        changes.add((old[a], new[c]))
    return len(changes) == 1


def test_many_pairs_need_more_than_another_word() -> None:
    more = sum(not _is_one_token_edit(row) for row in rows())
    assert more >= len(rows()) / 4


def test_the_note_does_not_hold_the_answer() -> None:
    """Fourteen notes spelt out the line that was asked for, within a sentence."""
    passages = {row.id: leaked(row.update_info, row.old_code, row.new_code) for row in rows()}
    assert {key: passage for key, passage in passages.items() if passage} == {}


def test_no_pair_is_nearly_another() -> None:
    libraries: dict[str, list[MigrationRow]] = {}
    for row in rows():
        libraries.setdefault(row.dependency, []).append(row)
    reasons = {row.id: near_duplicate(row, libraries[row.dependency]) for row in rows()}
    assert {key: reason for key, reason in reasons.items() if reason} == {}


def _libraries_of_the_day() -> list[str]:
    named = os.environ.get(LIBRARIES_VARIABLE)
    if named:
        return named.split(",")
    everything = sorted({row.dependency for row in rows()})
    today = dt.datetime.now(tz=dt.UTC).toordinal() % SHARES
    return everything[today::SHARES]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("place", range(PLACES))
def test_pairs_are_what_they_claim(place: int) -> None:
    """Old code passes with the old release only, new code with the new one."""
    libraries = set(_libraries_of_the_day()[place::PLACES])
    _prove(lambda task, problem: problem.payload.dependency in libraries)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("place", range(PLACES))
def test_new_and_changed_pairs_are_what_they_claim(place: int) -> None:
    """Whatever day it is: what tasks/migration/proven.json does not hold as it is now."""
    proven = Proven(resource_dir("tasks") / "migration" / "proven.json")

    def is_new(task: Task, problem: Problem) -> bool:
        mine = sum(problem.payload.dependency.encode()) % PLACES == place
        return mine and not proven.holds(task, problem)

    _prove(is_new)


def _prove(chosen: Callable[[Task, Problem], bool]) -> None:
    with open_router("landlock") as sandbox:
        for name in TASKS:
            task = create_task(name)
            problems = [
                problem
                for problem in task.load(None, skip_bad_rows=False).problems
                if chosen(task, problem)
            ]
            findings = validate(task, problems, sandbox, Limits())
            assert all(finding.checks == 3 for finding in findings)
            wrong = {f.problem_id: f.faults + f.ungraded for f in findings}
            assert not {key: value for key, value in wrong.items() if value}


@pytest.mark.slow
def test_requests_of_a_web_client_cross_between_processes() -> None:
    """Werkzeug's client puts its request into what it hands to an application."""
    task = create_task("migration")
    wanted = {"werkzeug-form-memory-limit-diary", "werkzeug-get-json-mimetype-webhook"}
    problems = [problem for problem in task.load(None).problems if problem.id in wanted]
    assert {problem.id for problem in problems} == wanted
    with open_router("landlock", isolation="split") as sandbox:
        for problem in problems:
            program = task.programs(problem, problem.solutions["reference"])["new_release"]
            execution = sandbox.submit(program, Limits()).result()
            assert execution.passed, execution
            assert not execution.unsplit, execution.unsplit


def test_no_bundled_release_has_a_threadpoolctl_that_landlock_breaks() -> None:
    """Bug: nearest neighbours of scikit-learn failed on one tier, as if an answer were wrong."""
    pin = re.compile(r"^threadpoolctl==3\.(\d+)", re.MULTILINE)
    for lock in (resource_dir("sandbox") / "envs").glob("*.txt"):
        found = pin.search(lock.read_text(encoding="utf-8"))
        assert found is None or int(found[1]) <= 5, lock


@pytest.mark.slow
def test_an_old_shapely_does_not_end_the_worker() -> None:
    """Bug: Shapely before 2.0 does not load its parts itself; every worker of its release died."""
    code = "import shapely.geometry\n\ndef where():\n    return shapely.geometry.Point(1, 2)\n"
    program = Program(
        "",
        code,
        (Test("test_it", "assert where().x == 1"),),
        preload=frozenset({"shapely"}),
        environment="shapely-1.8.5.post1",
    )
    for isolation in ("program", "split"):
        with open_router("landlock", workers=1, isolation=isolation) as sandbox:
            execution = sandbox.submit(program, Limits()).result()
            assert execution.passed, execution
