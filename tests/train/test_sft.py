"""SFT: the loss is on the answer only, it falls, and what cannot work is refused before."""

import json
from pathlib import Path

import pytest
from tiny_training import config, make_tokenizer, start, training_data

from recode_train.checkpoints import read_log

pytestmark = pytest.mark.slow

NAMES = ["p0", "p1", "p2"]


def test_labels_are_those_of_the_answer_and_the_end(libraries: None) -> None:
    from recode_train.trainers.sft import IGNORED, examples

    tokenizer = make_tokenizer()
    row = examples(training_data(["p0"], None))[0]
    assert tokenizer.decode(row["input_ids"]) == "p0: sayyes p0<eos>"
    prompt = len("p0: say")
    assert row["labels"] == [IGNORED] * prompt + row["input_ids"][prompt:]


def test_prompt_is_the_one_that_is_evaluated(libraries: None) -> None:
    """A tokenizer that puts a BOS before every text must not put one before the answer."""
    from tiny_training import prompts

    from recode_train.trainers.sft import examples
    from recode_train.trainers.training_data import TrainingData

    tokenizer = make_tokenizer(bos=True)
    stuff = TrainingData(tokenizer, prompts(tokenizer, ["p0"]), {"p0": ("yes",)}, None, "0")
    ids = examples(stuff)[0]["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id


def test_loss_on_the_prompt_does_not_count(tiny_model: Path, tmp_path: Path) -> None:
    """The first loss of TRL is the mean over the answers' tokens, computed here by hand."""
    import torch
    from transformers import AutoModelForCausalLM

    from recode_train.trainers.ordering import long_order
    from recode_train.trainers.sft import examples

    stuff = training_data(NAMES, None)
    settings = config("sft", tiny_model, tmp_path / "run", max_steps=1)
    start(settings, stuff)
    rows = examples(stuff)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    total, count = 0.0, 0
    for index in long_order(len(rows), 4, "0"):
        ids = torch.tensor([rows[index]["input_ids"]])
        labels = torch.tensor(rows[index]["labels"])[1:]
        with torch.no_grad():
            logits = model(ids).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        count += int((labels != -100).sum())
    logged = read_log(tmp_path / "run" / "train.jsonl")[0]
    assert logged["loss"] == pytest.approx(total / count, rel=1e-4)
    assert logged["tokens_trained"] == count


def test_loss_falls(tiny_model: Path, tmp_path: Path) -> None:
    settings = config(
        "sft", tiny_model, tmp_path / "run", max_steps=40, save_steps=40, logging_steps=10
    )
    result = start(settings, training_data(NAMES, None))
    losses = [line["loss"] for line in read_log(tmp_path / "run" / "train.jsonl")]
    assert losses[-1] < 0.5 * losses[0]
    # 4 examples a step, each "yes pN" and the end: 7 tokens.
    assert result.budgets["tokens_trained"] == 40 * 4 * 7
    assert result.budgets["tokens_generated"] == 0
    assert result.budgets["seconds"] > 0


def test_every_pair_once_an_epoch(libraries: None) -> None:
    from recode_train.trainers.ordering import long_order

    order = long_order(5, 13, "7")
    assert sorted(order[:5]) == sorted(order[5:10]) == list(range(5))
    assert order[:5] != order[5:10]
    assert order == long_order(5, 13, "7")
    assert order != long_order(5, 13, "8")


@pytest.mark.parametrize("tuning", ["lora", "dora"])
def test_adapter_names_its_base_and_has_an_effect(
    tiny_model: Path, tmp_path: Path, tuning: str
) -> None:
    """The harness loads the adapter by its folder alone, and it is not the untrained model."""
    from recode_eval.models.base import Message, Prompt, Request, SamplingParameters
    from recode_eval.models.options import ModelOptions
    from recode_eval.models.transformers_model import TransformersModel

    settings = config(
        "sft", tiny_model, tmp_path / "run", tuning=tuning, max_steps=40, save_steps=40,
        lora_r=8, lora_alpha=32, learning_rate=3e-2,
    )  # fmt: skip
    result = start(settings, training_data(["p0"], None))
    description = json.loads((result.final / "adapter_config.json").read_text())
    assert description["base_model_name_or_path"] == str(tiny_model.resolve())
    assert description["use_dora"] is (tuning == "dora")
    request = Request("p0", Prompt((Message("user", "p0: say"),)), (0,), (0,))
    texts = []
    for folder in (tiny_model, result.final):
        model = TransformersModel(str(folder), ModelOptions(dtype="float32"))
        (completion,) = model.generate([request], SamplingParameters(temperature=0, max_tokens=8))
        texts.append(completion.text)
    # A frozen random model cannot be bent at will, but it says letters of the answer now.
    assert not set(texts[0]) & set("yes")
    assert set(texts[1]) & set("yes")
    losses = [line["loss"] for line in read_log(tmp_path / "run" / "train.jsonl")]
    assert losses[-1] < 0.95 * losses[0]
