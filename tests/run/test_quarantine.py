"""Quarantine: `validate` lists flaky and broken problems, a run leaves them out and says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from migration_rows import TESTS, migration_row, write_pairs

from recode_eval import RescoreConfig, RunConfig, evaluate, rescore
from recode_eval.cli import run as command
from recode_eval.errors import DataError
from recode_eval.tasks.base import BadRow
from recode_eval.tasks.loading import load_task
from recode_eval.tasks.quarantine import read_quarantine, stored_rows, without

FLAKY = (
    f"{TESTS}\n\ndef test_luck():\n    import os\n"
    "    common([1], [1])\n    assert os.urandom(1)[0] % 2\n"
)
BROKEN = f"{TESTS}\n\ndef test_wrong():\n    assert common([1], [1]) == [False]\n"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(
        tmp_path_factory.mktemp("rows") / "rows.jsonl",
        migration_row(id="sound"),
        migration_row(id="sound-too", tests=TESTS + "\n"),
        migration_row(id="flaky", tests=FLAKY),
        migration_row(id="broken", tests=BROKEN),
    )


@pytest.fixture(scope="module")
def listed(rows: Path) -> Path:
    file = rows.parent / "here" / "quarantine.json"
    arguments = ["validate", "--tasks", "migration", "--data", f"migration={rows}"]
    assert command([*arguments, "--repeats", "40", "--quarantine", str(file), "--quiet"]) == 1
    return file


def test_the_list_says_what_is_flaky_and_what_is_broken(listed: Path, rows: Path) -> None:
    found = read_quarantine(listed)
    task = found.tasks["migration"]
    states = {one.id: one.state for one in task.problems}
    assert states == {"flaky": "flaky", "broken": "broken"}
    assert (task.validated, task.ungraded, found.repeats) == (4, (), 40)
    assert task.data_hash == load_task("migration", rows).data.content_hash
    assert any("test_luck" in reason for reason in task.problems[0].reasons)


def test_a_run_leaves_them_out_and_its_results_name_the_list(
    listed: Path, rows: Path, tmp_path: Path
) -> None:
    config = RunConfig(
        model="baseline:reference",
        tasks=["migration"],
        data={"migration": rows},
        n=1,
        k=[1],
        quarantine=listed,
        out=tmp_path / "runs",
    )
    result = evaluate(config)["migration"]
    assert {problem["id"] for problem in result.content["problems"]} == {"sound", "sound-too"}
    assert result.value("pass@1") == 1.0
    quarantined = result.content["task"]["quarantined"]
    assert [text.split(":")[:2] for text in quarantined] == [
        ["flaky", " flaky"],
        ["broken", " broken"],
    ]
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert manifest["settings"]["quarantine"] == read_quarantine(listed).digest
    again = rescore(result.folder, RescoreConfig())["migration"]
    assert len(again.content["problems"]) == 2
    assert again.unscored == 0


def test_a_list_for_other_rows_is_refused(listed: Path, tmp_path: Path) -> None:
    other = write_pairs(tmp_path / "other.jsonl", migration_row(id="flaky"))
    with pytest.raises(DataError, match="was made for other rows"):
        load_task("migration", other, quarantine=read_quarantine(listed))


def test_nothing_left_is_an_error(rows: Path) -> None:
    data = load_task("migration", rows).data
    with pytest.raises(DataError, match="Every problem of migration"):
        without(data, [BadRow(problem.id, "x") for problem in data.problems], "migration")


def test_an_id_with_a_colon_is_found(tmp_path: Path) -> None:
    data = load_task("arena-mini").data
    name = data.problems[0].id
    assert stored_rows([f"{name}: broken: a: b", "gone: broken"], data) == [
        BadRow(name, "broken: a: b")
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is no list of a quarantine"),
        ("[]", "is no list of a quarantine"),
        ('{"schema_version": 2}', "newer recode-eval"),
        ('{"schema_version": 1}', "is no list of a quarantine"),
        ("[" * 3000, "is no list of a quarantine"),
    ],
)
def test_a_file_that_is_no_list_is_named(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "quarantine.json"
    file.write_text(content)
    with pytest.raises(DataError, match=reason):
        read_quarantine(file)


def test_a_missing_list_stops_before_anything_is_generated(rows: Path, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"model": "baseline:stale", "tasks": ["migration"]}
    config = RunConfig(**arguments, quarantine=tmp_path / "no.json", out=tmp_path / "runs")
    with pytest.raises(DataError, match="Cannot read the quarantine"):
        evaluate(config)
    assert not (tmp_path / "runs").exists()


def test_a_list_about_other_tasks_is_refused(listed: Path, tmp_path: Path) -> None:
    """Nothing was left out, and nothing said so: the list was about another task."""
    config = RunConfig(
        model="baseline:reference", tasks=["arena-mini"], quarantine=listed, out=tmp_path / "runs"
    )
    with pytest.raises(DataError, match="is about migration, not about arena-mini"):
        evaluate(config)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--quarantine", "--proven"])
def test_where_nothing_can_be_written_is_said_before_the_work(
    option: str, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--quarantine .` ended in a traceback after everything was validated, its result lost."""
    (tmp_path / "file").touch()
    arguments = ["validate", "--tasks", "migration", "--data", f"migration={rows}", option]
    assert command([*arguments, str(tmp_path)]) == 2
    assert command([*arguments, str(tmp_path / "file" / "list.json")]) == 2
    told = capsys.readouterr()
    assert "is a folder" in told.err
    assert "sound" not in told.out
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
