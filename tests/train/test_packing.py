"""Several answers in one row: none sees another, none is lost, and a killed run goes on exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tiny_training import KilledError, config, start, training_data, weights_hash

from recode_train import batch_math

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NAMES = ["a", "bb", "ccc", "dddd", "e"]


def test_rows_hold_every_answer_once(tiny_model: Path, tmp_path: Path) -> None:
    from recode_train.trainers import sft

    settings = config("sft", tiny_model, tmp_path / "run", packing=True, max_completion_length=40)
    data = training_data(NAMES, None)
    alone, packed = sft.examples(data), sft.rows_of(settings, data)
    assert len(packed) < len(alone)
    assert all(len(row["input_ids"]) <= 32 + 40 for row in packed)
    found = []
    for row in packed:
        assert sum(row["seq_lengths"]) == len(row["input_ids"]) == len(row["labels"])
        at = 0
        for length in row["seq_lengths"]:
            found.append((row["input_ids"][at : at + length], row["labels"][at : at + length]))
            at += length
    assert sorted(found) == sorted((row["input_ids"], row["labels"]) for row in alone)


def test_answers_of_a_row_do_not_see_each_other(tiny_model: Path, tmp_path: Path) -> None:
    """The loss of a packed row is that of its answers apart."""
    import torch
    from transformers import AutoModelForCausalLM

    from recode_train.trainers import sft

    settings = config("sft", tiny_model, tmp_path / "run", packing=True, max_completion_length=40)
    data = training_data(NAMES, None)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    from recode_train.budget import Budget

    trainer = sft.build(settings, data, model, [], Budget())
    rows = sft.rows_of(settings, data)
    batch = trainer.data_collator([rows[0]])
    assert len(rows[0]["seq_lengths"]) > 1
    starts = (batch["position_ids"] == 0).sum()
    assert int(starts) == len(rows[0]["seq_lengths"])
    with torch.no_grad():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits[0]
        at = 0
        for length in rows[0]["seq_lengths"]:
            ids = torch.tensor([rows[0]["input_ids"][at : at + length]])
            torch.testing.assert_close(together[at : at + length], model(input_ids=ids).logits[0])
            at += length


def test_a_packed_training_resumes_exactly(tiny_model: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {"packing": True, "max_steps": 8, "per_device_train_batch_size": 1,
                            "max_completion_length": 40}  # fmt: skip
    whole = start(config("sft", tiny_model, tmp_path / "whole", **more), training_data(NAMES, None))
    settings = config("sft", tiny_model, tmp_path / "killed", **more)

    def kill(line: Any) -> None:
        if line["step"] == 5:
            raise KilledError

    with pytest.raises(KilledError):
        start(settings, training_data(NAMES, None), on_log=kill)
    again = start(settings, training_data(NAMES, None))
    assert again.resumed_from == 4
    assert weights_hash(again.final) == weights_hash(whole.final)
    assert again.budgets["tokens_trained"] == whole.budgets["tokens_trained"] > 0


def test_where_nothing_is_packed_it_is_said(tiny_model: Path, tmp_path: Path) -> None:
    made = config("grpo", tiny_model, tmp_path / "run", packing=True)
    assert any("packing: without effect" in text for text in batch_math.warnings(made))
