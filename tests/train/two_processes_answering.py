"""Run by two processes (see test_answers_training): the first one samples, and both train."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import PartialState
from answered import BAD, ToldModel, without_sandbox
from launched import finish
from tiny_training import config, weights_hash
from training_pairs import NEW, turn

from recode_train.checkpoints import SAMPLES
from recode_train.trainers import train


def says(_pair: str, sample: int) -> str:
    time.sleep(0.2)  # the other process has to wait
    return turn(NEW) if sample else BAD


def main(model: Path, output: Path) -> None:
    torch.set_num_threads(1)
    state = PartialState(cpu=True)
    told = ToldModel(says)
    shared: dict[str, Any] = {
        "data": str(output / "pairs.jsonl"),
        "max_prompt_length": 4096,
        "max_completion_length": 512,
        "per_device_train_batch_size": 1,
        "num_generations": 2,
        "num_processes": 2,
        "max_steps": 4,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recode_train.trainers.sampling._model", lambda _: told)
        without_sandbox(patch)
        rft = train(config("rft", model, output / "rft", **shared))
    state.wait_for_everyone()
    (run,) = (output / "rft" / SAMPLES).glob("*/*/completions.jsonl")
    sft = train(config("sft", model, output / "sft", completions=str(run), **shared))
    found: dict[str, Any] = {
        "same": weights_hash(rft.final) == weights_hash(sft.final),
        "moved": weights_hash(rft.final) != weights_hash(model),
        "budgets": dict(rft.budgets),
    }
    (output / f"asked-{state.process_index}").write_text(str(len(told.asked)))
    state.wait_for_everyone()
    found["asked"] = [int((output / f"asked-{rank}").read_text()) for rank in (0, 1)]
    finish(state, output, found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
