"""A run that was killed and goes on ends with the same weights, bit by bit, as one that was not."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launched import in_two_processes
from tiny_training import (
    KilledError,
    config,
    flat_for,
    killing_at,
    letter_share,
    make_tokenizer,
    save_model,
    start,
    training_data,
    weights_hash,
)

from recode_eval.errors import UsageError
from recode_train.checkpoints import LOG, MARK, latest, read_log

pytestmark = pytest.mark.slow

# Three pairs, two a generation: the checkpoint lies in the middle of an epoch.
NAMES = ["flat", "a", "b"]
TIMES = {"seconds", "step_time", "cpu_seconds"}


def stuff_of(algorithm: str, *, kill_at: int | None = None) -> Any:
    if algorithm == "sft":
        return training_data(NAMES, None)
    reward = letter_share(make_tokenizer())
    if algorithm == "dapo":
        reward = flat_for("flat", reward)
    if kill_at is not None:
        reward = killing_at(kill_at, reward)
    return training_data(NAMES, reward, extra=True)


def kill(settings: Any, algorithm: str, step: int) -> None:
    def on_log(line: Any) -> None:
        if line["step"] == step:
            raise KilledError

    with pytest.raises(KilledError):
        start(settings, stuff_of(algorithm), on_log=on_log)


def timeless(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


@pytest.mark.parametrize(
    ("algorithm", "tuning"),
    [("sft", "full"), ("sft", "dora"), ("grpo", "full"), ("grpo", "lora"), ("dapo", "full")],
)
def test_same_weights_log_and_budgets(
    tiny_model: Path, tmp_path: Path, algorithm: str, tuning: str
) -> None:
    """Killed after step 7 of 10; goes on from the checkpoint of step 6, within the third epoch."""
    more: dict[str, Any] = {"max_steps": 10, "tuning": tuning, "lora_r": 4, "lora_dropout": 0.1}
    whole = start(config(algorithm, tiny_model, tmp_path / "whole", **more), stuff_of(algorithm))
    settings = config(algorithm, tiny_model, tmp_path / "killed", **more)
    kill(settings, algorithm, 7)
    again = start(settings, stuff_of(algorithm))
    assert again.resumed_from == 6
    assert weights_hash(again.final) == weights_hash(whole.final)
    logs = [timeless(read_log(result.output / LOG)) for result in (whole, again)]
    assert logs[0] == logs[1]
    for name, value in whole.budgets.items():
        assert name in TIMES or again.budgets[name] == value
    if algorithm == "dapo":
        assert whole.budgets["groups_flat"] > 0
        assert whole.budgets["refill_cursor"] > 0


def test_accumulated_gradients_and_reused_generations(tiny_model: Path, tmp_path: Path) -> None:
    """Two passes a step, and each generation used twice: exact at every fourth step."""
    from recode_train.batch_math import batch_sizes, validate

    more: dict[str, Any] = {
        "gradient_accumulation_steps": 2,
        "steps_per_generation": 4,
        "num_iterations": 2,
        "save_steps": 4,
        "max_steps": 12,
    }
    settings = config("dapo", tiny_model, tmp_path / "killed", **more)
    validate(settings)
    assert batch_sizes(settings).resume_unit == 4
    whole = start(config("dapo", tiny_model, tmp_path / "whole", **more), stuff_of("dapo"))
    kill(settings, "dapo", 10)
    again = start(settings, stuff_of("dapo"))
    assert again.resumed_from == 8
    assert weights_hash(again.final) == weights_hash(whole.final)
    # 12 steps of 2 passes, 8 passes a generation of 4 groups.
    budgets = whole.budgets
    kept = budgets["groups_sampled"] - budgets["groups_flat"] - budgets["groups_surplus"]
    assert kept + budgets["groups_masked"] == 3 * 4


def test_killed_by_the_system_within_a_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    """SIGKILL right before the mark of a checkpoint: it counts as not written."""
    settings = {"max_steps": 8}
    whole = start(config("dapo", tiny_model, tmp_path / "whole", **settings), stuff_of("dapo"))
    script = tmp_path / "killed.py"
    script.write_text(
        f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import torch
torch.set_num_threads(1)
from recode_train import checkpoints
from test_training_resume import config, start, stuff_of
original = checkpoints.mark
def mark(folder, content):
    if content["step"] == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    original(folder, content)
checkpoints.mark = mark
start(config("dapo", Path({str(tiny_model)!r}), Path({str(tmp_path / "killed")!r}),
      **{settings!r}), stuff_of("dapo"))
"""
    )
    process = subprocess.run([sys.executable, str(script)], capture_output=True, check=False)
    assert process.returncode == -9, process.stderr.decode()
    torn = tmp_path / "killed" / "checkpoint-6"
    assert torn.is_dir()
    assert not (torn / MARK).exists()
    again = start(config("dapo", tiny_model, tmp_path / "killed", **settings), stuff_of("dapo"))
    assert again.resumed_from == 4
    assert weights_hash(again.final) == weights_hash(whole.final)


def test_killed_between_the_last_checkpoint_and_the_result(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is then made of the checkpoint, without another step."""
    from transformers import Trainer

    settings = config("grpo", tiny_model, tmp_path / "run", steps_per_generation=2, max_steps=4)

    def save_model(self: Any, output_dir: str, _internal_call: bool = False) -> None:
        if not _internal_call:
            raise KilledError
        original(self, output_dir, _internal_call)

    original = Trainer.save_model
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save_model", save_model)
        with pytest.raises(KilledError):
            start(settings, stuff_of("grpo"))
    again = start(settings, stuff_of("grpo"))
    assert again.resumed_from == again.steps == 4
    checkpoint, _ = latest(tmp_path / "run") or (None, None)
    assert checkpoint is not None
    assert weights_hash(again.final) == weights_hash(checkpoint)
    assert not (again.final / "optimizer.pt").exists()
    assert not (again.final / MARK).exists()


def test_finished_run_is_not_trained_again(tiny_model: Path, tmp_path: Path) -> None:
    settings = config("sft", tiny_model, tmp_path / "run", max_steps=2)
    first = start(settings, stuff_of("sft"))
    lines: list[Any] = []
    second = start(settings, stuff_of("sft"), on_log=lines.append)
    assert lines == []
    assert second.budgets == first.budgets
    third = start(settings, stuff_of("sft"), resume=False, on_log=lines.append)
    assert len(lines) == 2
    assert third.resumed_from is None
    assert weights_hash(third.final) == weights_hash(first.final)


def test_other_settings_do_not_continue_a_run(tiny_model: Path, tmp_path: Path) -> None:
    """Half of a run with one learning rate and half with another would be neither."""
    kill(config("sft", tiny_model, tmp_path / "run"), "sft", 5)
    other = config("sft", tiny_model, tmp_path / "run", learning_rate=0.5)
    with pytest.raises(UsageError, match=r"learning_rate \(0.01 there, 0.5 now\)"):
        start(other, stuff_of("sft"))
    # How often it is logged does not matter to the weights.
    again = start(config("sft", tiny_model, tmp_path / "run", save_total_limit=5), stuff_of("sft"))
    assert again.resumed_from == 4


def test_other_files_do_not_continue_a_run(tiny_model: Path, tmp_path: Path) -> None:
    """The settings may be the same, and what they name another model or an edited prompt."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    settings = config("sft", model, tmp_path / "run")
    kill(settings, "sft", 3)
    edited = stuff_of("sft")
    hashed = dataclasses.replace(edited, provenance={**edited.provenance, "prompt_hash": "1"})
    start(settings, hashed)  # an older run has no hash
    with pytest.raises(UsageError, match="another content of the prompt"):
        start(
            settings,
            dataclasses.replace(edited, provenance={**edited.provenance, "prompt_hash": "2"}),
        )
    save_model(model, seed=7)
    with pytest.raises(UsageError, match="another content of the model's files"):
        start(settings, hashed)
    kill(config("sft", model, tmp_path / "other"), "sft", 3)
    save_model(model, seed=8)
    with pytest.raises(UsageError, match="another content of the model's files"):
        start(config("sft", model, tmp_path / "other"), stuff_of("sft"))


def test_two_processes(tiny_model: Path, tmp_path: Path) -> None:
    """Rewards, refills and counts are those of both; nobody waits for ever; resume is exact."""
    found = in_two_processes("two_processes.py", tiny_model, tmp_path)
    # Three groups of four, the middle one in both processes: two with a verdict, two without. They
    # got advantages of +-0.87.
    hole = found.pop("hole")
    assert hole["seen"] == [0.0] * 12 + [1.0] * 3
    assert "None of the 2 updates" in hole["error"]
    for algorithm, outcome in found.items():
        assert outcome["whole"] == outcome["killed"], algorithm
        assert outcome["resumed_from"] == 6, algorithm
        before, after = outcome["budgets"], outcome["budgets_again"]
        assert {k: v for k, v in before.items() if k not in TIMES} == {
            k: v for k, v in after.items() if k not in TIMES
        }, algorithm
    dapo = found["dapo"]["budgets"]
    # 8 steps, two a generation of 3 groups.
    assert dapo["groups_flat"] > 0
    assert (
        dapo["groups_sampled"] - dapo["groups_flat"] - dapo["groups_surplus"]
        + dapo["groups_masked"] == 4 * 3
    )  # fmt: skip
    assert found["grpo"]["budgets"]["completions_generated"] == 4 * 12
