"""The model card of a result, and its way to the hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_hub import TOKEN, fake_hub
from tiny_training import config, save_model, start, training_data

from recode_train import TrainConfig
from recode_train.model_card import make_card

NAMES = ["a", "b", "c"]


def report(**changes: Any) -> dict[str, Any]:
    settings = TrainConfig(
        algorithm="grpo", model="owner/model", preset="paper-grpo", seed=3,
        rewards={"tests": 1.0, "es": 0.0},
    )  # fmt: skip
    return {
        "config": settings.as_dict(),
        "model": {"hub": "owner/model", "revision": "abc"},
        "data": {"source": "/somewhere/pairs.jsonl", "prompts": 12, "prompt": "recode"},
        "data_hash": "1234567890abcdef" * 4,
        "steps": 7,
        "budgets": {"tokens_generated": 12345, "groups_masked": 0},
        "invocation": {"trainer": {"trl": "1.16.0"}},
        **changes,
    }


def test_a_card_says_what_was_trained_on_what_and_how_to_repeat_it() -> None:
    """It said "a fine-tuned version of None"."""
    card = make_card(report(), {"migration": {"pass@1": 0.25, "folder": "x"}})
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header)["base_model"] == "owner/model"
    assert yaml.safe_load(header)["library_name"] == "peft"
    for text in (
        "owner/model (revision abc)", "pairs.jsonl: 12 pairs (sha256 1234567890abcdef)",
        "tests x 1, es x 0", "migration, pass@1 at the last evaluation | 25.0 %", "| 12,345 |",
        "| Seed | 3 |", "trl 1.16.0", "recode-train grpo --model owner/model --preset paper-grpo",
        "--set seed=3", "--set 'rewards={\"tests\": 1.0, \"es\": 0.0}'",
    ):  # fmt: skip
        assert text in body, text
    assert "groups" not in body  # what is 0 costs nothing
    assert "/somewhere" not in card


def test_a_hostile_name_makes_no_markup() -> None:
    evil = "](x) <script>|\n---\nlicense: mit"
    card = make_card(
        report(model={"path": f"/m/{evil}", "sha256": "0" * 64}), {evil: {"pass@1": 1}}
    )
    assert "<script>" not in card
    assert "\nlicense: mit" not in card
    assert all(line.count(" | ") == 1 for line in card.splitlines() if line.startswith("| Base"))


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from recode_eval.errors import RecodeError
from tiny_training import config, start, training_data
model, output = map(Path, sys.argv[1:3])
try:
    settings = config("sft", model, output, max_steps=1, push_to_hub=True)
    start(settings, training_data(["a", "b", "c"], None))
except RecodeError as error:
    print(error, file=sys.stderr)
    sys.exit(int(error.exit_code))
"""


def pushed(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Train a step and upload in a process of its own: the hub's client reads its address once."""
    here = Path(__file__).parent
    paths = (here, here.parent, here.parents[1])
    found = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder / "model"), str(folder / "run")],
        env={
            **found, "PYTHONPATH": os.pathsep.join(map(str, paths)), "HF_HOME": str(folder),
            "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment,
        },
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_card_is_public() -> None:
    """It names no path of the machine, and nothing that could be a login."""
    settings = TrainConfig(
        algorithm="sft", model="/home/ada/models/mine", data="/home/ada/rows/pairs.jsonl",
        trainer_args={"hub_token": "s3cret", "adam_beta2": 0.9},
    )  # fmt: skip
    base = {"path": "/home/ada/models/mine", "sha256": "0" * 64}
    card = make_card(report(config=settings.as_dict(), model=base), {})
    assert "/home" not in card
    assert "s3cret" not in card
    assert "pairs.jsonl" in card
    assert "adam_beta2" in card


@pytest.mark.slow
def test_the_result_is_uploaded_with_its_card(libraries: None, tmp_path: Path) -> None:
    save_model(tmp_path / "model")
    with fake_hub() as hub:
        done = pushed(tmp_path, HF_ENDPOINT=hub.address, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    (repository,) = hub.repositories
    assert repository["name"] == "run"
    assert repository.get("visibility", repository.get("private")) in {"private", True}
    final = tmp_path / "run" / "final"
    assert {"README.md", "config.json", "model.safetensors"} <= set(hub.files)
    for name, content in hub.files.items():
        assert content == (final / name).read_bytes(), name
    assert b"Training pairs" in hub.files["README.md"]


@pytest.mark.slow
def test_a_hub_that_takes_nothing_is_said_before_the_training(
    libraries: None, tmp_path: Path
) -> None:
    """It was an internal error, and after the training."""
    save_model(tmp_path / "model")
    with fake_hub() as hub:
        cases = [
            (2, "HTTP 401", {"HF_ENDPOINT": hub.address}),
            (2, "HTTP 401", {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_wrong"}),
            (69, "cannot be reached", {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"}),
            (69, "cannot be reached", {"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:9"}),
        ]
        for code, sentence, environment in cases:
            done = pushed(tmp_path, **environment)
            assert done.returncode == code, done.stderr
            assert sentence in done.stderr
            assert "Traceback" not in done.stderr
            assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_result_has_its_card(tiny_model: Path, tmp_path: Path) -> None:
    settings = config("sft", tiny_model, tmp_path / "run", max_steps=1)
    result = start(settings, training_data(NAMES, None))
    card = (result.final / "README.md").read_text()
    assert "None" not in card
    assert not (tmp_path / "run" / "README.md").exists()
