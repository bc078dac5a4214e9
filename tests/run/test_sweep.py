"""Many models as one job, on this machine; on a cluster: tests/cluster/test_ray_cli.py."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from arena_rows import REFERENCE, STALE, arena_row
from command_line import arena, bare, failed
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import ExitCode, StorageError, UsageError
from recode_eval.run.sweep import Ledger, Outcome, find_models, work_through


def checkpoint(folder: Path, name: str = "config.json") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("{}")
    return folder


def test_a_pattern_means_checkpoints_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    wanted = [checkpoint(tmp_path / "run" / f"checkpoint-{number}") for number in (90, 100, 1000)]
    adapter = checkpoint(tmp_path / "run" / "checkpoint-1001", "adapter_config.json")
    (tmp_path / "run" / "checkpoint-5").mkdir()
    (tmp_path / "run" / "checkpoint-log").write_text("no folder")
    found = find_models([f"{tmp_path}/*/checkpoint-*"])
    assert found == [str(path) for path in [*wanted, adapter]]


def test_names_files_and_patterns_mix_and_none_comes_twice(tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "one")
    (tmp_path / "list.txt").write_text(f"# those of May\n\n{one}\nQwen/Qwen2.5-0.5B # small\n")
    found = find_models(["baseline:stale", f"@{tmp_path}/list.txt", f"{tmp_path}/o*"])
    assert found == ["baseline:stale", str(one), "Qwen/Qwen2.5-0.5B"]


def test_a_file_that_names_itself_ends(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"@{file}\nbaseline:stale\n")
    assert find_models([f"@{file}"]) == ["baseline:stale"]


def test_a_list_without_models_is_refused(tmp_path: Path) -> None:
    """A job whose list was not filled must not pass as done."""
    (tmp_path / "list.txt").write_text("# later\n")
    with pytest.raises(UsageError, match="names no model"):
        find_models([f"@{tmp_path}/list.txt"])


def test_a_path_may_have_a_hash(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("runs/a#1\nruns/b # the better one\n")
    assert find_models([f"@{tmp_path}/list.txt"]) == ["runs/a#1", "runs/b"]


@pytest.mark.parametrize("pattern", ["nothing/checkpoint-*", "@no-such-file"])
def test_what_means_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UsageError, match="--models"):
        find_models([pattern if pattern.startswith("@") else f"{tmp_path}/{pattern}"])


def result(folder: Path, unscored: int = 0) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"counts": {"unscored": unscored}}
    (folder / "results.json").write_text(json.dumps(content))
    return {**content, "folder": str(folder)}


def test_a_ledger_remembers_what_is_complete(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {"n": 1})
    assert ledger.finished("a") is None
    ledger.add("a", [result(tmp_path / "one"), result(tmp_path / "two")])
    assert [item["folder"] for item in ledger.finished("a") or []] == [
        str(tmp_path / "one"), str(tmp_path / "two"),
    ]  # fmt: skip
    assert Ledger(tmp_path, {"n": 2}).finished("a") is None
    assert ledger.finished("b") is None


@pytest.mark.parametrize("damage", ["unscored", "results", "ledger", "other job"])
def test_a_ledger_does_not_believe_what_is_not_there(tmp_path: Path, damage: str) -> None:
    ledger = Ledger(tmp_path, {})
    ledger.add("a", [result(tmp_path / "one")])
    if damage == "unscored":
        result(tmp_path / "one", unscored=1)
    elif damage == "other job":  # A run with another n keeps its results in the same folder.
        (tmp_path / "one" / "results.json").write_text('{"counts": {"unscored": 0}, "n": 1}')
    elif damage == "results":
        (tmp_path / "one" / "results.json").unlink()
    else:
        next((tmp_path / ".sweep").iterdir()).write_text("{half")
    assert ledger.finished("a") is None


@given(st.lists(st.sampled_from("abc"), max_size=9), st.integers(1, 4))
def test_every_model_has_one_outcome_in_its_place(kinds: list[str], at_once: int) -> None:
    models = [f"{kind}{number}" for number, kind in enumerate(kinds)]

    def evaluate(model: str) -> Outcome:
        if model[0] == "b":
            raise UsageError(model)
        return Outcome(model)

    told: list[Outcome] = []
    found = work_through(models, evaluate, at_once=at_once, done=told.append)
    assert [outcome.model for outcome in found] == models
    assert sorted(outcome.model for outcome in told) == sorted(models)
    assert [outcome.error is not None for outcome in found] == [m[0] == "b" for m in models]


def test_an_interruption_does_not_wait_for_what_runs() -> None:
    """Ctrl-C came through only when the models that were being evaluated had ended: hours."""
    release = threading.Event()

    def evaluate(model: str) -> Outcome:
        if model == "stop":
            raise KeyboardInterrupt
        release.wait(60)
        return Outcome(model)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work_through(["stop", "slow"], evaluate, at_once=2, done=lambda _: None)
    assert time.monotonic() - began < 30
    release.set()


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_full_disk_ends_the_job(at_once: int) -> None:
    """What is lost to a full disk is lost for every model: going on would burn GPU hours."""
    begun: list[str] = []
    lock = threading.Lock()

    def evaluate(model: str) -> Outcome:
        with lock:
            begun.append(model)
        if model == "0":
            raise StorageError("no space left")
        return Outcome(model)

    with pytest.raises(StorageError):
        work_through([str(i) for i in range(200)], evaluate, at_once=at_once, done=lambda _: None)
    assert len(begun) < 200


def answers(folder: Path, name: str, code: str) -> str:
    file = folder / name
    lines = [{"task_id": arena_row(i, i // 2)["prog_syn_id"], "solution": code} for i in range(6)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"replay:{file}"


@pytest.mark.slow
def test_a_sweep_from_the_command_line(rows: Path) -> None:
    good = answers(rows.parent, "good.jsonl", REFERENCE)
    stale = answers(rows.parent, "stale.jsonl", STALE)
    (rows.parent / "models.txt").write_text(f"{good}\n{stale}\nreplay:nowhere.jsonl\n")
    command = ["sweep", "--models", f"@{rows.parent}/models.txt", *arena(rows), "--n", "1"]
    first = bare(*command, "--json")
    assert first.returncode == ExitCode.CHECK_FAILED, first.stderr
    content = json.loads(first.stdout)
    assert [item["model"] for item in content] == [good, stale, "replay:nowhere.jsonl"]
    shares = [item["results"][0]["metrics"]["pass@1"]["value"] for item in content[:2]]
    assert shares == [1.0, 0.0]
    assert "nowhere.jsonl" in content[2]["error"]
    again = bare(*command)
    assert again.stderr.count("All 6 samples are already generated and graded") == 2
    assert again.stdout.count("pass@1") == 2
    assert "failed: " in again.stdout


def test_a_changed_file_is_another_model(rows: Path) -> None:
    """A saved answer that had been mended kept its old score: only its name was remembered."""
    good = answers(rows.parent, "good.jsonl", STALE)
    command = ["sweep", "--models", good, *arena(rows), "--n", "1", "--json"]
    assert bare(*command).returncode == 0
    answers(rows.parent, "good.jsonl", REFERENCE)
    again = json.loads(bare(*command).stdout)
    assert again[0]["results"][0]["metrics"]["pass@1"]["value"] == 1.0


def test_bad_usage(rows: Path) -> None:
    failed(bare("sweep", *arena(rows)), ExitCode.USAGE, "--models")
    failed(
        bare("sweep", "--models", "baseline:stale", "--model", "x", *arena(rows)),
        ExitCode.USAGE, "--models, not --model",
    )  # fmt: skip
