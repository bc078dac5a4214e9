"""The demonstration's training_data: rows that execution proves, and names held out."""

import itertools
import json
import re
import sys
from pathlib import Path

import pytest

from recode_eval.errors import DataError
from recode_eval.tasks.registry import create_task
from recode_train.data import load_pairs
from recode_train.demo import rows
from recode_train.demo.making import TASK, TASK_FOLDER, write_pairs, write_problems


def test_no_name_is_in_two_splits():
    def names(row):
        words = re.findall("[a-z]+", f"{row['update_info']} {row['new_code']}")
        return {w for w in words if w[:3] in rows.SYLLABLES and w[3:] in rows.SYLLABLES}

    found = {
        split: {name for row in rows.make_rows(140, 1, split) for name in names(row)}
        for split in (rows.TRAIN, rows.VALIDATION, rows.TEST)
    }
    assert all(len(used) > 100 for used in found.values())
    for one, other in itertools.combinations(found.values(), 2):
        assert one.isdisjoint(other)


def test_the_same_seed_gives_the_same_rows_and_another_one_others():
    first, again, other = (list(rows.make_rows(14, seed, rows.TEST)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [row["kind"] for row in first] == [*rows.KINDS, *rows.KINDS]


def test_every_kind_changes_the_program():
    for row in rows.make_rows(len(rows.KINDS), 3, rows.TRAIN):
        assert row["old_code"] != row["new_code"]
        assert row["dependency"] in row["old_code"]


@pytest.mark.parametrize("kind", rows.KINDS)
def test_old_code_works_with_the_old_release_alone_and_new_code_with_the_new(kind, tmp_path):
    file = write_problems(tmp_path / "problems.jsonl", 8, 5, [kind])
    task = create_task(TASK, [TASK_FOLDER])
    for problem in task.load(str(file), skip_bad_rows=False).problems:
        [(_, old_with_old)] = task.own_programs(problem)
        with_new = {
            name: task.programs(problem, code)["new_release"]
            for name, code in problem.solutions.items()
        }
        assert _passes(old_with_old)
        assert _passes(with_new["reference"])
        assert not _passes(with_new["stale"])


def test_the_library_must_be_imported(tmp_path: Path):
    """An answer without its import must not find the library in its namespace."""
    file = write_problems(tmp_path / "problems.jsonl", 1, 5, ["renamed"])
    task = create_task(TASK, [TASK_FOLDER])
    [problem] = task.load(str(file), skip_bad_rows=False).problems
    code = problem.solutions["reference"].partition("\n")[2]
    assert not _passes(task.programs(problem, code)["new_release"])


def test_a_malformed_row_is_named(tmp_path: Path):
    file = write_problems(tmp_path / "problems.jsonl", 2, 5)
    first, second = file.read_text().splitlines()
    broken = json.dumps({**json.loads(second), "new_library": "def"})
    file.write_text(f"{first}\n{broken}\n")
    with pytest.raises(DataError, match=r"row 2 of problems\.jsonl: new_library is not Python"):
        create_task(TASK, [TASK_FOLDER]).load(str(file), skip_bad_rows=False)


def test_pairs_can_be_trained_on(tmp_path: Path):
    pairs = load_pairs(f"recode-train-data={write_pairs(tmp_path / 'pairs.jsonl', 21, 1)}")
    assert len(pairs.pairs) == 21


def _passes(program) -> bool:
    """Execute our own constants here: what the sandbox adds is tested elsewhere."""
    known = set(sys.modules)
    try:
        for test in program.tests:
            namespace: dict = {}
            try:
                for part in (program.setup, program.candidate, test.code):
                    exec(part, namespace)
            except Exception:
                return False
        return True
    finally:
        for name in set(sys.modules) - known:
            del sys.modules[name]
