"""A model of a few thousand weights, and training training_data without real pairs or a sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from recode_train.config import TrainConfig
from recode_train.prompts import TrainingPrompt

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class KilledError(Exception):
    """Stands for a run that was killed."""


def make_tokenizer(*, bos: bool = False, merges: Sequence[tuple[str, str]] = ()) -> Any:
    """One token per byte and merge; with `bos`, every text begins with one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<pad>", "<bos>", "<eos>", *alphabet, *map("".join, merges)]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="left",
    )


def save_model(
    folder: Path,
    *,
    seed: int = 0,
    context: int = 128,
    merges: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write a Llama of about 30,000 random weights, and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(merges=merges)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=context,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def config(algorithm: str, model: Path, output: Path, **settings: Any) -> TrainConfig:
    """Settings of a run of seconds; two updates per generation, and pairs for half an epoch."""
    base: dict[str, Any] = {
        "tuning": "full",
        "max_steps": 6,
        "save_steps": 2,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "max_prompt_length": 32,
        "max_completion_length": 8,
        "overlong_cache": 2,
        "per_device_train_batch_size": 4,
        "num_generations": 4,
        "steps_per_generation": 2,
    }
    return TrainConfig.from_sources(
        algorithm, model=str(model), output=str(output), **{**base, **settings}
    )


def prompts(tokenizer: Any, names: Sequence[str]) -> list[TrainingPrompt]:
    """One prompt per name."""
    texts = [f"{name}: say" for name in names]
    return [
        TrainingPrompt(name, text, "say", tuple(tokenizer(text)["input_ids"]))
        for name, text in zip(names, texts, strict=True)
    ]


def letter_share(tokenizer: Any) -> Callable[..., list[float]]:
    """The reward: the share of small letters among the tokens, in [0, 1]."""
    wanted = set(tokenizer.convert_tokens_to_ids(list(LETTERS)))

    def letters(*, completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [sum(i in wanted for i in ids) / len(ids) for ids in completion_ids]

    return letters


def flat_for(prefix: str, inner: Callable[..., list[float]]) -> Callable[..., list[float]]:
    """The reward `inner`, but 1.0 for all completions of the pairs whose id has the prefix."""

    def reward(*, pair_id: list[str], **more: Any) -> list[float]:
        return [
            1.0 if name.startswith(prefix) else value
            for name, value in zip(pair_id, inner(**more), strict=True)
        ]

    reward.__name__ = "reward"
    return reward


def killing_at(step: int, inner: Callable[..., list[float]]) -> Callable[..., list[float]]:
    """The reward `inner`, until the run is killed at a step."""

    def reward(*, trainer_state: Any, **more: Any) -> list[float]:
        if trainer_state.global_step >= step:
            raise KilledError
        return inner(**more)

    reward.__name__ = "reward"
    return reward


def lengths(*, completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A penalty that differs within most groups and decides nothing."""
    return [-len(ids) / 100 for ids in completion_ids]


def training_data(
    names: Sequence[str],
    reward: Callable[..., list[float]] | None,
    *,
    extra: bool = False,
    completion: str = "yes",
) -> Any:
    """The training_data of a run: `names` are the pairs."""
    from recode_train.trainers.training_data import TrainingData

    tokenizer = make_tokenizer()
    functions = [] if reward is None else [reward, *([lengths] if extra else [])]
    rewards = SimpleNamespace(
        functions=functions,
        names=["reward", "lengths"][: len(functions)],
        weights=[1.0, 1.0][: len(functions)],
        decisive=[True, False][: len(functions)],
    )
    return TrainingData(
        tokenizer=tokenizer,
        prompts=prompts(tokenizer, names),
        completions={name: (f"{completion} {name}",) for name in names},
        rewards=rewards if functions else None,
        data_hash="0" * 64,
        provenance={"source": "test"},
    )


def start(settings: TrainConfig, stuff: Any, **more: Any) -> Any:
    """Train."""
    from recode_train.trainers import loading
    from recode_train.trainers.running import run

    return run(settings, loading.find(settings), stuff, **more)


def weights_hash(folder: Path) -> str:
    """Hash all weights in a folder, bit by bit."""
    from safetensors.torch import load_file

    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        for name, tensor in sorted(load_file(file).items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
