"""`recode-eval score`: grading stored completions again, wherever the run lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import arena, bare, failed

from recode_eval.errors import ExitCode


@pytest.mark.slow
def test_grading_again_keeps_the_runs_limits(rows: Path) -> None:
    """`score` fell back to its own defaults: a run with `--timeout 60` was graded anew with 15."""
    settings = ["--timeout", "60", "--memory", "2048", "--isolation", "test"]
    first = json.loads(
        bare("--model", "baseline:reference", *arena(rows), "--json", *settings).stdout
    )
    assert first["scoring"]["limits"]["cpu_s"] == 60
    again = json.loads(bare("score", first["folder"], "--json").stdout)
    assert again["scoring"] == first["scoring"]
    assert again["invocations"] == first["invocations"]
    shorter = json.loads(bare("score", first["folder"], "--json", "--timeout", "9").stdout)
    assert shorter["scoring"]["limits"]["cpu_s"] == 9
    assert shorter["scoring"]["limits"]["memory_bytes"] == 2048 << 20
    assert shorter["scoring"]["isolation"] == "test"
    assert len(shorter["invocations"]) == 2


@pytest.mark.slow
def test_grading_again_works_from_anywhere(rows: Path, tmp_path: Path) -> None:
    """The manifest kept `--data` as it was typed: a relative path meant nothing elsewhere."""
    result = bare(
        "--model", "baseline:reference", "--tasks", "arena", "--data", f"arena={rows.name}",
        "--json", cwd=rows.parent,
    )  # fmt: skip
    folder = rows.parent / json.loads(result.stdout)["folder"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = bare("score", str(folder), "--all", cwd=elsewhere)
    assert again.returncode == 0, again.stderr
    rows = rows.rename(elsewhere / "moved.jsonl")
    failed(bare("score", str(folder)), ExitCode.DATA, "No data file", "--data")
    failed(bare("score", str(folder), "--data", str(rows)), ExitCode.USAGE, "TASK=FILE")
    failed(bare("score", str(folder), "--data", f"x={rows}"), ExitCode.USAGE, "task is arena")
    moved = bare("score", str(folder), "--data", f"arena={rows}")
    assert moved.returncode == 0, moved.stderr


def test_grading_half_a_run_says_what_is_missing(rows: Path) -> None:
    """Samples that were never generated "could not be graded", with no word on why."""
    first = json.loads(bare("--model", "baseline:reference", *arena(rows), "--json").stdout)
    folder = Path(first["folder"])
    path = folder / "completions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    result = bare("score", str(folder))
    assert result.returncode == ExitCode.INCOMPLETE
    assert "4 samples could not be graded (not generated yet)" in result.stdout


def test_grading_a_run_of_another_task_version_is_refused(rows: Path) -> None:
    """Nothing checked it: the manifest of the old run got the new version's identity."""
    first = json.loads(bare("--model", "baseline:reference", *arena(rows), "--json").stdout)
    manifest = Path(first["folder"]) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["identity"]["task_version"] = 0
    manifest.write_text(json.dumps(content))
    failed(bare("score", first["folder"]), ExitCode.DATA, "another version of the task")
    assert json.loads(manifest.read_text()) == content
    for garbled in ({}, {**content, "selection": []}, {**content, "sampling": {"heat": 1}}):
        manifest.write_text(json.dumps(garbled))
        failed(bare("score", first["folder"]), ExitCode.DATA, "manifest.json")


def test_a_folder_of_runs_is_no_run(rows: Path, tmp_path: Path) -> None:
    """The message named a missing file, and not what to do."""
    out = tmp_path / "several"
    result = bare("--model", "baseline:reference", *arena(rows), "--json", "--out", str(out))
    run = json.loads(result.stdout)["folder"]
    for folder in (out, Path(run).parent):
        failed(bare("score", str(folder)), ExitCode.USAGE, "folder of runs", str(run))


def test_a_pack_must_be_unpacked_before_it_is_graded(tmp_path: Path) -> None:
    """The message named a manifest inside the file, and advised to delete it."""
    pack = tmp_path / "run.tar.zst"
    pack.touch()
    failed(bare("score", str(pack)), ExitCode.USAGE, "is a pack", f"pack --extract {pack}")
    other = pack.rename(tmp_path / "results.json")
    failed(bare("score", str(other)), ExitCode.USAGE, "is a file", str(tmp_path))
