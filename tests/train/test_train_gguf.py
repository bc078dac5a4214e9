"""Training that starts from a GGUF file: planned, trained, saved as an ordinary model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from gguf_files import write_gguf
from migration_rows import write_pairs
from tiny_training import config, save_model
from training_pairs import training_row

from recode_eval.errors import DataError, UsageError
from recode_train.memory_estimate import read_shape
from recode_train.planning import make_plan
from recode_train.trainers import train

if TYPE_CHECKING:
    from pathlib import Path

    from recode_train.config import TrainConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The library takes a GGUF tokenizer without merges for one of another kind.
    return save_model(
        tmp_path_factory.mktemp("hub-layout"), context=8192, merges=[("\u0120", "\u0120")]
    )


@pytest.fixture(scope="module")
def file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gguf", reason="needs pip install 'recode-eval[transformers]'")
    return write_gguf(folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [training_row(id=f"string-shout-{i}", apis=[f"numpy.shout{i}"]) for i in range(3)]
    return write_pairs(tmp_path / "pairs.jsonl", *rows)


def settings(algorithm: str, model: Path, output: Path, pairs: Path, **more: Any) -> TrainConfig:
    return config(
        algorithm, model, output,
        **{
            "data": str(pairs),
            "max_prompt_length": 4096,
            "max_completion_length": 24 if algorithm != "sft" else 1024,
            "max_steps": 2,
            **more,
        },
    )  # fmt: skip


def test_shape_is_that_of_the_same_model_in_safetensors(folder: Path, file: Path) -> None:
    """The header of a GGUF file names and orders everything differently."""
    ours, theirs = read_shape(file), read_shape(folder)
    assert sorted(ours.linear_sides) == sorted(theirs.linear_sides)
    for name in ("parameters", "width", "hidden", "layers", "key_value_size", "vocabulary"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert read_shape(file.parent) == ours


def test_plan(file: Path, tmp_path: Path, pairs: Path) -> None:
    """Memory is estimated and prompts are counted, as for a folder."""
    plan = make_plan(settings("sft", file, tmp_path / "run", pairs))
    assert plan.memory is not None
    assert plan.prompts is not None
    assert plan.prompts.used == 3


@pytest.mark.parametrize(("algorithm", "tuning"), [("sft", "full"), ("grpo", "lora")])
def test_train(
    file: Path,
    tmp_path: Path,
    pairs: Path,
    algorithm: str,
    tuning: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is saved is a plain checkpoint, or an adapter that finds its base again."""
    from recode_eval.models import create_model

    # Equal rewards would stop the training.
    monkeypatch.setattr("recode_train.rewards.format_reward", lambda text, *_: len(set(text)) / 99)

    result = train(settings(algorithm, file, tmp_path / "run", pairs, tuning=tuning))
    report = json.loads((tmp_path / "run" / "train.json").read_text())
    assert report["finished"] is True
    assert report["model"]["path"] == str(file)
    if tuning == "full":
        saved = json.loads((result.final / "config.json").read_text())
        assert "quantization_config" not in saved
    else:
        saved = json.loads((result.final / "adapter_config.json").read_text())
        assert saved["base_model_name_or_path"] == str(file)
    assert create_model(str(result.final), backend="transformers").info.backend == "transformers"


def test_merge(file: Path, tmp_path: Path, pairs: Path) -> None:
    from recode_eval.models import create_model
    from recode_train.merging import merge

    result = train(settings("sft", file, tmp_path / "run", pairs, tuning="lora"))
    merge(str(result.final), tmp_path / "merged")
    info = create_model(str(tmp_path / "merged"), backend="transformers").info
    assert info.details["parameters"] == read_shape(file).parameters


def test_a_reference_model_is_refused_beforehand(file: Path, tmp_path: Path, pairs: Path) -> None:
    """TRL would look for it in the file's folder, and fail with a traceback."""
    with pytest.raises(UsageError, match=r"is a GGUF file, .*reference model.*set beta to 0"):
        train(settings("grpo", file, tmp_path / "run", pairs, beta=0.1))


def test_damaged_file(file: Path, tmp_path: Path, pairs: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match=r"damaged\.gguf is not a complete GGUF file"):
        make_plan(settings("sft", damaged, tmp_path / "run", pairs))
