"""`validate --proven`: only what is new or changed is proven again; only what holds is noted."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from migration_rows import NEW, TESTS, migration_row, write_pairs

from recode_eval.cli import run as command
from recode_eval.errors import DataError
from recode_eval.run.proven import Proven, digest
from recode_eval.tasks.registry import create_task

BROKEN = f"{TESTS}\n\ndef test_wrong():\n    assert common([1], [1]) == [False]\n"


def validated(rows: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """Return the exit code, and how many problems were run."""
    words = ["validate", "--tasks", "migration", "--data", f"migration={rows}", "--json"]
    code = command([*words, "--quiet", "--proven", str(file)])
    return code, len(json.loads(capsys.readouterr().out)["migration"])


def test_only_new_changed_and_refuted_rows_are_proven_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, rows = tmp_path / "proven.json", tmp_path / "rows.jsonl"
    good, bad = migration_row(id="good"), migration_row(id="bad", tests=BROKEN)
    assert validated(write_pairs(rows, good, bad), file, capsys) == (1, 2)
    assert list(json.loads(file.read_text())["tasks"]["migration"]) == ["good"]
    assert validated(rows, file, capsys) == (1, 1)
    changed = migration_row(id="good", new_code=f"{NEW}# again\n")
    assert validated(write_pairs(rows, changed), file, capsys) == (0, 1)
    assert validated(rows, file, capsys) == (0, 0)
    refuted = migration_row(id="good", tests=BROKEN)
    assert validated(write_pairs(rows, refuted), file, capsys) == (1, 1)
    assert json.loads(file.read_text())["tasks"]["migration"] == {}


def test_words_that_nothing_runs_do_not_change_the_hash(tmp_path: Path) -> None:
    task = create_task("migration")
    digests = set()
    for number, note in enumerate(("one", "two")):
        rows = write_pairs(tmp_path / f"{number}.jsonl", migration_row(update_info=note))
        digests.add(digest(task, task.load(str(rows), skip_bad_rows=False).problems[0]))
    rows = write_pairs(tmp_path / "old.jsonl", migration_row(old_version="1.23.5"))
    digests.add(digest(task, task.load(str(rows), skip_bad_rows=False).problems[0]))
    assert len(digests) == 2


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema_version": 1}', '{"schema_version": 2, "tasks": {}}']
)
def test_a_file_that_is_no_list_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "proven.json").write_text(text)
    with pytest.raises(DataError, match=r"proven\.json"):
        Proven(tmp_path / "proven.json")


def test_a_wrong_pattern_is_found_although_the_programs_are_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hash is over the programs alone, so that a row with a wrong pattern counted as proven."""
    file, rows = tmp_path / "new" / "proven.json", tmp_path / "rows.jsonl"
    assert validated(write_pairs(rows, migration_row(id="row")), file, capsys) == (0, 1)
    wrong = migration_row(id="row", old_use=["numpy.nowhere"])
    assert validated(write_pairs(rows, wrong), file, capsys) == (1, 1)


def test_a_full_disk_loses_no_finding_and_all_proven_is_not_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of proofs ended in the error alone; a second call said `0 of 0 problems are sound`."""
    rows = write_pairs(tmp_path / "rows.jsonl", migration_row(id="bad", tests=BROKEN))
    words = ["validate", "--tasks", "migration", "--data", f"migration={rows}", "--quiet"]
    words += ["--proven", str(tmp_path / "proven.json")]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("recode_eval.run.proven.replace_file", full)
        assert command(words) == 74
    told = capsys.readouterr()
    assert "bad: " in told.out
    assert "No space left" in told.err
    write_pairs(rows, migration_row(id="good"))
    assert [command(words), command(words)] == [0, 0]
    assert "0 faulty, 0 not graded); 1 were proven before" in " ".join(
        capsys.readouterr().out.split()
    )
