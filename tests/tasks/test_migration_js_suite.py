"""The bundled JavaScript pairs: how they are composed, and that they are what they claim.

Every run proves the pairs of a few packages, other ones every day; `make verify-migration` proves
all of them.
"""

from __future__ import annotations

import datetime as dt
import os
from functools import cache
from pathlib import Path

import pytest

from recode_eval.languages import get_language
from recode_eval.run.validate import validate
from recode_eval.sandbox import Limits, open_router
from recode_eval.sandbox.requirements import get_environment, release_name
from recode_eval.scoring.leaks import leaked
from recode_eval.tasks.migration import KINDS, MigrationRow, composition
from recode_eval.tasks.registry import create_task

TASKS = ("migration-js", "migration-js-train")
A_DAY = 4
"""Packages whose pairs are executed in one run."""
PACKAGES_VARIABLE = "RECODE_EVAL_MIGRATION_PACKAGES"


@cache
def rows() -> tuple[MigrationRow, ...]:
    return tuple(
        problem.payload
        for task in TASKS
        for problem in create_task(task).load(None, skip_bad_rows=False).problems
    )


def test_there_are_enough_pairs_of_enough_packages() -> None:
    packages = composition(rows())["dependency"]
    assert len(rows()) >= 120
    assert len(packages) >= 20
    assert max(packages.values()) <= 0.1 * len(rows())


def test_the_pages_give_the_right_numbers() -> None:
    counts = composition(rows())
    checkout = Path(__file__).parents[2]
    page = (checkout / "tasks" / "migration-js" / "README.md").read_text(encoding="utf-8")
    numbers = len(rows()), counts["split"]["test"], counts["split"]["train"]
    shown = "{} JavaScript programs ({} to test with, {} to train with)".format(*numbers)
    assert shown in page
    assert f"{counts['updates']['several']} of them meet two or more changes" in page
    front = (checkout / "README.md").read_text(encoding="utf-8")
    packages = len(counts["dependency"])
    assert f"{numbers[0]} pairs ({numbers[1]} to test with) of {packages} npm packages" in front


def test_every_kind_of_change_occurs() -> None:
    assert set(composition(rows())["update_type"]) == set(KINDS)


def test_some_packages_occur_in_the_test_split_only() -> None:
    trained = {row.dependency for row in rows() if row.split == "train"}
    assert trained
    assert len({row.dependency for row in rows()} - trained) >= 5
    assert composition(rows())["split"]["test"] >= 0.6 * len(rows())


def test_the_note_does_not_hold_the_answer() -> None:
    """Three notes spelt out a call with its arguments as the answer has it."""
    passages = {row.id: leaked(row.update_info, row.old_code, row.new_code) for row in rows()}
    assert {key: passage for key, passage in passages.items() if passage} == {}


def test_no_program_of_the_pairs_is_suspicious() -> None:
    """A flag on what an honest program does would be noise on every answer to the pair."""
    flags = get_language("javascript").tamper_flags
    programs = {(row.id, code) for row in rows() for code in (row.old_code, row.new_code)}
    assert {key: flags(code) for key, code in programs if flags(code)} == {}


def test_no_environment_needs_an_install_script() -> None:
    for row in rows():
        for version in (row.old_version, row.new_version):
            lock = get_environment(release_name(row.dependency, version, "npm")).npm
            assert lock is not None
            assert lock.needing_scripts == ()
            assert lock.main == row.dependency


def _packages_of_the_day() -> list[str]:
    named = os.environ.get(PACKAGES_VARIABLE)
    if named:
        return named.split(",")
    everything = sorted({row.dependency for row in rows()})
    first = dt.datetime.now(tz=dt.UTC).toordinal() * A_DAY
    return [everything[(first + i) % len(everything)] for i in range(A_DAY)]


def _prove(packages: set[str] | None, tier: str) -> None:
    with open_router(tier, environment="node") as sandbox:
        for name in TASKS:
            task = create_task(name)
            chosen = [
                problem
                for problem in task.load(None, skip_bad_rows=False).problems
                if packages is None or problem.payload.dependency in packages
            ]
            findings = validate(task, chosen, sandbox, Limits())
            assert all(finding.checks == 3 for finding in findings)
            wrong = {f.problem_id: f.faults + f.ungraded for f in findings}
            assert not {key: value for key, value in wrong.items() if value}, packages


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pairs_are_what_they_claim() -> None:
    """Old code passes with the old release only, new code with the new one."""
    _prove(set(_packages_of_the_day()), "landlock")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "tier", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap", "landlock"]
)
def test_all_pairs_are_what_they_claim(tier: str) -> None:
    _prove(None, tier)
