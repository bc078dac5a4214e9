"""Run by two processes (see test_training_resume): a whole run, and the same killed and resumed."""

import sys
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from launched import finish
from tiny_training import (
    KilledError,
    config,
    flat_for,
    killing_at,
    letter_share,
    make_tokenizer,
    start,
    training_data,
    weights_hash,
)


def hole(model: Path, output: Path, rank: int) -> dict[str, Any]:
    """Equal answers without a verdict in the second process: advantages, and the flat groups."""
    from recode_train.stopping import BarrenError
    from recode_train.trainers.recording import Recording

    def verdicts(*, pair_id: list[str], **_: Any) -> list[float | None]:
        return [None if rank else 1.0] * len(pair_id)

    seen: list[float] = []
    inner = Recording._batch

    def batch(self: Any, inputs: Any) -> Any:
        result = inner(self, inputs)
        seen.extend(self.accelerator.gather(result["advantages"]).tolist())
        seen.extend(map(float, self.last_flat))
        return result

    data = training_data(["a", "b", "c"], cast("Any", verdicts), extra=True)
    data.rewards.functions[1] = lambda *, pair_id, **_: [2.0] * len(pair_id)
    settings = config(
        "grpo", model, output, beta=0.0, per_device_train_batch_size=3, num_processes=2, max_steps=2
    )
    Recording._batch = batch  # type: ignore[method-assign]
    try:
        start(settings, data)
    except BarrenError as error:
        return {"seen": seen, "error": str(error)}
    finally:
        Recording._batch = inner  # type: ignore[method-assign]
    return {"seen": seen, "error": None}


def main(model: Path, output: Path) -> None:
    torch.set_num_threads(1)
    state = PartialState(cpu=True)
    reward = flat_for("flat", letter_share(make_tokenizer()))
    names = ["flat0", "flat1", "a", "b", "c"]
    # A generation of 12 completions in groups of 4: the middle one has a half in each process.
    settings = {"per_device_train_batch_size": 3, "num_processes": 2, "max_steps": 8}
    found = {}
    for algorithm in ("dapo", "grpo", "rloo", "sft"):
        whole = config(algorithm, model, output / f"{algorithm}-whole", **settings)
        killed = config(algorithm, model, output / f"{algorithm}-killed", **settings)
        if algorithm == "sft":
            # Nothing of the test's own runs in every process, so the second run starts half-way.
            result = start(whole, training_data(names, None))
            half = output / "sft-killed"
            if state.is_main_process:
                half.mkdir()
                (output / "sft-whole" / "checkpoint-6").rename(half / "checkpoint-6")
            state.wait_for_everyone()
            again = start(killed, training_data(names, None))
        else:
            result = start(whole, training_data(names, reward, extra=True))
            try:
                start(killed, training_data(names, killing_at(6, reward), extra=True))
            except KilledError:
                state.wait_for_everyone()
            again = start(killed, training_data(names, reward, extra=True))
        found[algorithm] = {
            "whole": weights_hash(result.final),
            "killed": weights_hash(again.final),
            "resumed_from": again.resumed_from,
            "budgets": dict(result.budgets),
            "budgets_again": dict(again.budgets),
        }
    found["hole"] = hole(model, output / "hole", state.process_index)
    finish(state, output, found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
