"""Weights & Biases, TensorBoard and trackio get a run's log and its completions, offline."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from migration_rows import write_pairs
from tiny_training import save_model
from training_pairs import training_row

from recode_train.trackers import Trackers

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
WORDS = (
    "tuning=full", "max_prompt_length=4096", "max_completion_length=16", "max_steps=2",
    "per_device_train_batch_size=4", "num_generations=4", "save_steps=2", "beta=0.0",
    "rewards.own_length:length=1",
)  # fmt: skip
REWARD = "def length(completions, **_):\n    return [len(set(text)) for text in completions]\n"


def training(folder: Path, packages: str, *settings: str) -> subprocess.CompletedProcess[str]:
    """Train a tiny model in a process of its own; `packages` are behind those of the tests."""
    save_model(folder / "model", context=8192)
    rows = [training_row(id=f"string-shout-{i}", apis=[f"numpy.shout{i}"]) for i in range(3)]
    pairs = write_pairs(folder / "pairs.jsonl", *rows)
    (folder / "own_length.py").write_text(REWARD)
    words = ["grpo", "--model", "model", "--data", str(pairs), "--out", "run", "--quiet"]
    for text in (*WORDS, *settings):
        words += ["--set", text]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, HERE.parents[:2])),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": str(folder),
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(folder),
        "TRACKIO_DIR": str(folder / "trackio"),
        "TRACKIO_SHOW_DASHBOARD": "0",
    }
    return subprocess.run(
        [sys.executable, str(HERE / "trackers_run.py"), packages, *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def packages(peer_python: Callable[[str], str]) -> str:
    """The folder of the packages in the environment `trackers`."""
    words = [peer_python("trackers"), "-c", "import wandb; print(wandb.__path__[0])"]
    return str(Path(subprocess.check_output(words, text=True).strip()).parent)


def test_all_three_get_the_log_and_the_completions(
    libraries: None, tmp_path: Path, packages: str, peer_python: Callable[[str], str]
) -> None:
    done = training(tmp_path, packages, "report_to=wandb,tensorboard,trackio")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = (tmp_path / "run" / "completions.jsonl").read_text().splitlines()
    assert len(rows) == 4
    (events,) = (tmp_path / "run").glob("runs/*/events*")
    read = [peer_python("trackers"), str(HERE / "trackers_read.py"), str(events.parent)]
    board = json.loads(subprocess.check_output(read, text=True, stderr=subprocess.DEVNULL))
    assert "train/reward" in board["scalars"]
    assert "train/monitor/copy_rate" in board["scalars"]
    assert any(tag.startswith("completions") for tag in board["texts"])
    (table,) = (tmp_path / "wandb").glob("offline-run-*/files/media/table/completions*.json")
    found = json.loads(table.read_text())
    assert found["columns"] == ["step", "pair", "completion", "rewards", "advantage"]
    assert len(found["data"]) == 4
    (log,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"monitor/copy_rate" in log.read_bytes()
    metrics = b"".join(
        str(row).encode()
        for file in (tmp_path / "trackio").rglob("*.db")
        for row in sqlite3.connect(file).execute("select metrics from metrics")
    )
    assert b"monitor/copy_rate" in metrics
    assert b"completions" in metrics


def test_evaluations_reach_the_trackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's callbacks do not know them: they are no lines of its log."""
    told: dict[str, list[object]] = {"wandb": [], "trackio": [], "tensorboard": []}
    for name in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(log=told[name].append))
    writer = SimpleNamespace(add_scalar=lambda *values: told["tensorboard"].append(values))
    callbacks = [SimpleNamespace(), SimpleNamespace(tb_writer=writer)]
    trackers = Trackers(["wandb", "trackio", "tensorboard"], tmp_path)
    trackers.watch(SimpleNamespace(callback_handler=SimpleNamespace(callbacks=callbacks)))
    trackers.show_evaluation(4, {"migration": {"pass@1": 0.5, "prompt": "recode", "es": None}})
    figures = {"eval/migration/pass@1": 0.5, "train/global_step": 4}
    assert told["wandb"] == told["trackio"] == [figures]
    assert told["tensorboard"] == [("eval/migration/pass@1", 0.5, 4)]


def test_a_missing_tracker_is_said_before(libraries: None, tmp_path: Path) -> None:
    """It was a traceback of the library, after the model had been loaded."""
    done = training(tmp_path, str(tmp_path), "report_to=trackio")
    assert done.returncode == 2
    assert "pip install trackio" in done.stderr
    assert not (tmp_path / "run").exists()
