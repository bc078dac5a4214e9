"""DPO: raise the probability of a good answer over that of a bad one to the same prompt.

The answers are sampled and graded before the training (`trainers.sampling`), or those of a recorded
run. Prompt and answers are tokenized separately, as they were when the answers were generated, so
TRL's own tokenization is left out. The reference model is the model as it was at the start.
"""

from __future__ import annotations

import copy
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_train.algorithms import Algorithm
from recode_train.trainers import arguments, loading, rft
from recode_train.trainers.ordering import long_order
from recode_train.trainers.sft import examples_per_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_train.budget import Budget
    from recode_train.config import TrainConfig
    from recode_train.trainers.training_data import TrainingData

HOOKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"_prepare_dataset": ("self", "dataset", "processing_class", "args", "dataset_name")}
)
"""The overridden methods of DPOTrainer, which TRL does not document, and their parameters."""


class OwnTokens:
    """Mixin over DPOTrainer: the rows have token ids already."""

    def _prepare_dataset(
        self, dataset: Any, processing_class: Any, args: Any, dataset_name: str
    ) -> Any:
        del processing_class, args, dataset_name
        return dataset


def comparisons(data: TrainingData) -> list[dict[str, list[int]]]:
    """Return the token ids of every prompt, good answer and bad answer; an EOS ends each answer."""
    tokenizer = data.tokenizer

    def ids(text: str) -> list[int]:
        return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]

    return [
        {"prompt_ids": list(prompt.token_ids), "chosen_ids": ids(good), "rejected_ids": ids(bad)}
        for prompt in data.prompts
        for good, bad in data.preferences[prompt.pair_id]
    ]


def build(
    config: TrainConfig, data: TrainingData, model: Any, callbacks: list[Any], budget: Budget
) -> Any:
    """Return TRL's trainer, ready to train."""
    del budget  # its only count, `trained_tokens`, is known beforehand
    import trl
    from datasets import Dataset

    rows = comparisons(data)
    order = long_order(len(rows), config.max_steps * examples_per_step(config), str(config.seed))
    adapter = loading.adapter(config)
    trainer_class: Any = type("OwnTokensDPOTrainer", (OwnTokens, trl.DPOTrainer), {})
    return trainer_class(
        model=model,
        # Under an adapter the reference is the model without it.
        ref_model=copy.deepcopy(model) if adapter is None else None,
        args=trl_config(config, trl.DPOConfig),
        train_dataset=Dataset.from_list(rows).select(order),
        processing_class=data.tokenizer,
        peft_config=adapter,
        callbacks=callbacks,
    )


def trl_config(config: TrainConfig, config_class: Any) -> Any:
    """Return TRL's configuration; raises `UsageError`."""
    return arguments.build(
        config_class,
        config,
        loss_type=[config.dpo_loss],
        max_length=None,
        train_sampling_strategy="sequential",
    )


def check(config: TrainConfig) -> None:
    """Raise `UsageError` for what TRL refuses, before anything is loaded."""
    from trl import DPOConfig

    arguments.check_optimizer(trl_config(config, DPOConfig))


def trained_tokens(config: TrainConfig, data: TrainingData) -> Sequence[int]:
    """Return how many tokens had a loss after 0, 1, 2, ... steps: those of both answers."""
    lengths = [len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in comparisons(data)]
    per_step = examples_per_step(config)
    order = long_order(len(lengths), config.max_steps * per_step, str(config.seed))
    return [0, *accumulate(lengths[index] for index in order)][::per_step]


ALGORITHM: Final = Algorithm(
    name="dpo",
    label="DPO",
    summary="sample answers, and learn to prefer those that pass over those that fail",
    samples=False,
    asks=True,
    compares=True,
    uses=(*rft.USES, "beta"),
    build=build,
    check=check,
    trl_arguments=("beta",),
    trained_tokens=trained_tokens,
    # Rafailov et al. 2023, arXiv 2305.18290: beta 0.1. The rate for adapters is our choice.
    defaults={"beta": 0.1, "learning_rate": 5e-6},
)
