"""SFT: the perfect answers are the targets, and only they have a loss.

Prompt and answer are tokenized separately, as they are when a model generates the answer, and then
joined; TRL gets token ids and labels.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from recode_train.algorithms import Algorithm
from recode_train.trainers import arguments, loading
from recode_train.trainers.ordering import long_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_train.budget import Budget
    from recode_train.config import TrainConfig
    from recode_train.trainers.training_data import TrainingData

IGNORED: Final = -100
"""Label of a token without a loss."""


def examples(data: TrainingData) -> list[dict[str, list[int]]]:
    """Return token ids and labels of every answer, in the prompts' order; an EOS ends each."""
    tokenizer = data.tokenizer
    rows = []
    for prompt in data.prompts:
        for text in data.completions[prompt.pair_id]:
            answer = tokenizer(text, add_special_tokens=False)
            ids = [*answer["input_ids"], tokenizer.eos_token_id]
            rows.append({
                "input_ids": [*prompt.token_ids, *ids],
                "labels": [IGNORED] * len(prompt.token_ids) + ids,
            })  # fmt: skip
    return rows


def rows_of(config: TrainConfig, data: TrainingData) -> list[dict[str, list[int]]]:
    """Return the rows that are trained on: an answer each, or with `packing` several.

    Answers of one row do not see each other: their positions begin anew, and attention goes by
    them. TRL packs: best fit, the longest first, none cut.
    """
    rows = examples(data)
    if not config.packing:
        return rows
    from datasets import Dataset
    from trl import pack_dataset

    longest = max(len(row["input_ids"]) for row in rows)
    width = max(config.max_prompt_length + config.max_completion_length, longest)
    packed = pack_dataset(Dataset.from_list(rows), width, "bfd").to_list()
    return [{name: list(row[name]) for name in ("input_ids", "labels", "seq_lengths")}
            for row in packed]  # fmt: skip


def examples_per_step(config: TrainConfig) -> int:
    """Return the rows of one update, those of all processes."""
    return (
        config.per_device_train_batch_size
        * config.gradient_accumulation_steps
        * config.num_processes
    )


def build(
    config: TrainConfig, data: TrainingData, model: Any, callbacks: list[Any], budget: Budget
) -> Any:
    """Return TRL's trainer, ready to train."""
    del budget  # its only count, `trained_tokens`, is known beforehand
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = rows_of(config, data)
    length = config.max_steps * examples_per_step(config)
    order = long_order(len(rows), length, str(config.seed))
    dataset = Dataset.from_list(rows).select(order)
    return SFTTrainer(
        model=model,
        args=trl_config(config, SFTConfig),
        train_dataset=dataset,
        processing_class=data.tokenizer,
        peft_config=loading.adapter(config),
        callbacks=callbacks,
    )


def trl_config(config: TrainConfig, config_class: Any) -> Any:
    """Return TRL's configuration; raises `UsageError`."""
    return arguments.build(
        config_class,
        config,
        max_length=None,
        packing=False,  # the rows are packed already, and in an order of ours
        padding_free=config.packing,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
    )


def check(config: TrainConfig) -> None:
    """Raise `UsageError` for what TRL refuses, before anything is loaded."""
    from trl import SFTConfig

    arguments.check_optimizer(trl_config(config, SFTConfig))


def trained_tokens(config: TrainConfig, data: TrainingData) -> Sequence[int]:
    """Return how many tokens had a loss after 0, 1, 2, ... steps."""
    lengths = [sum(label != IGNORED for label in row["labels"]) for row in rows_of(config, data)]
    per_step = examples_per_step(config)
    order = long_order(len(lengths), config.max_steps * per_step, str(config.seed))
    sums = [0, *accumulate(lengths[index] for index in order)]
    return sums[::per_step]


ALGORITHM: Final = Algorithm(
    name="sft",
    label="SFT",
    summary="train on the reference answers of the pairs, or on recorded ones",
    samples=False,
    build=build,
    check=check,
    trained_tokens=trained_tokens,
)
