"""The memory estimate of full training, by hand: weights, gradients and Adam's two moments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recode_eval.errors import UsageError
from recode_train.config import TrainConfig
from recode_train.memory_estimate import (
    MemoryEstimate,
    ModelShape,
    estimate_memory,
    read_shape,
)

if TYPE_CHECKING:
    from pathlib import Path

PARAMETERS = 1_000


def needed(*, accelerator: bool, width: int = 2, **settings: object) -> MemoryEstimate:
    """The estimate for a model of 1,000 parameters, `width` bytes each on disk."""
    shape = ModelShape(PARAMETERS, width, ((10, 20),), 10, 1, 10, 50)
    config = TrainConfig.from_sources("sft", model="m", **settings)
    return estimate_memory(config, shape, accelerator=accelerator)


@pytest.mark.parametrize("accelerator", [True, False])
def test_full_training_is_in_float32_whatever_the_checkpoint_has(accelerator: bool) -> None:
    """A bfloat16 checkpoint on a GPU was counted in bfloat16: half of what training then took."""
    found = needed(accelerator=accelerator, tuning="full")
    assert found.width == 4
    assert (found.weights, found.gradients, found.optimizer) == (4_000, 4_000, 8_000)
    assert found.trainable == PARAMETERS


def test_full_training_in_bfloat16() -> None:
    found = needed(accelerator=True, tuning="full", dtype="bfloat16")
    assert found.width == 2
    assert (found.weights, found.gradients, found.optimizer) == (2_000, 2_000, 4_000)


def test_frozen_weights_stay_as_stored_and_adapters_are_float32() -> None:
    found = needed(accelerator=True, tuning="lora", lora_r=2)
    trainable = 2 * (10 + 20)
    assert found.width == 2
    assert (found.weights, found.gradients) == (2_000, 4 * trainable)
    assert found.optimizer == 8 * trainable


def write_model(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "pytorch_model.bin").write_bytes(bytes(4_000))
    return folder


@pytest.mark.parametrize("family", ["gpt2", "codegen", "gpt_bigcode"])
def test_families_with_other_names_in_their_config(tmp_path: Path, family: str) -> None:
    """GPT-2, CodeGen and StarCoder were refused for a memory estimate: KeyError hidden_size."""
    pytest.importorskip("transformers")
    names = {"n_embd": 48, "n_layer": 3, "n_head": 4, "vocab_size": 99, "n_positions": 77}
    shape = read_shape(write_model(tmp_path / family, model_type=family, **names))
    assert shape is not None
    assert (shape.hidden, shape.layers, shape.vocabulary) == (48, 3, 99)
    assert shape.key_value_size == 48
    assert shape.parameters == 1_000
    assert shape.context == 77


def test_an_unknown_family_has_no_estimate(tmp_path: Path) -> None:
    assert read_shape(write_model(tmp_path / "m", model_type="own", width=48)) is None
    (tmp_path / "m" / "pytorch_model.bin").unlink()
    with pytest.raises(UsageError, match="holds no weights"):
        read_shape(tmp_path / "m")
