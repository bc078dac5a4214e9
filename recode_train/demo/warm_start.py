"""The model that the demonstration starts from: made from scratch, taught badly on purpose.

A Llama of 0.5 million weights learns to read a note, to copy names and to answer in the form asked
for. Half of its examples end otherwise: in the old program, or in a malformed answer. So the right
answer is among what it does, and there is something to learn.

The matrices of the layers are trained with Muon: with AdamW alone such a model does not learn to
copy in the time there is. The loss is on the prompts, too, for the same reason.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.scoring.extraction import END_ANSWER, END_THINK
from recode_train.demo.muon import Muon

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_train.data import Pair

_LONGEST: Final = 256
"""Positions of the model, in tokens."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the model."""

    hidden: int = 128
    inner: int = 256
    layers: int = 3
    heads: int = 4


@dataclass(frozen=True, slots=True)
class WarmStart:
    """How the model is taught."""

    steps: int = 170
    batch: int = 32
    """Examples a step."""
    muon_rate: float = 0.05
    adam_rate: float = 0.02
    warm_up: int = 20
    stale: float = 0.3
    """Share of the examples that answer with the old program."""
    malformed: float = 0.2
    """Share of the examples that give no answer that could be read."""
    seed: int = 0


def make_model(tokenizer: Any, shape: Shape, seed: int) -> Any:
    """Return an untrained model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    # Not Qwen2: transformers replaces any tokenizer found beside a Qwen2 by that of Qwen2.
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=_LONGEST,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def answer(pair: Pair, perfect: str, settings: WarmStart, rng: random.Random) -> str:
    """Return what the example of a pair says after the opened thoughts: right, stale or malformed.

    `perfect` is the well-formed right answer.
    """
    kind = rng.random()
    if kind < settings.stale:
        return perfect_form(pair.problem.solutions["stale"])
    if kind >= settings.stale + settings.malformed:
        return perfect
    thoughts, _, rest = perfect.partition(END_THINK)
    return rng.choice((
        thoughts.rstrip("\n"),  # the thoughts never end
        thoughts + END_THINK,  # no answer
        perfect.replace(f"{END_THINK}\n", ""),  # the answer is among the thoughts
        thoughts + END_THINK + rest.replace("):\n", ")\n").replace(END_ANSWER, ""),  # no Python
    ))  # fmt: skip


def perfect_form(code: str) -> str:
    """Return a well-formed answer that leaves a program as it is."""
    code = code.strip("\n")
    return (
        f"\nThis program needs no change.\n{END_THINK}\n<answer>\n```python\n{code}\n```\n"
        f"{END_ANSWER}"
    )


def teach(
    model: Any,
    examples: Callable[[random.Random], Sequence[Sequence[int]]],
    settings: WarmStart,
    padding: int,
    report: Callable[[int, float], None],
) -> None:
    """Train `model` in place; `examples` gives the token ids of a step's examples.

    `report` gets the number of steps done and the mean loss per token of the last one.
    """
    import torch

    torch.manual_seed(settings.seed)
    rng = random.Random(f"warm start {settings.seed}")
    optimizers = _optimizers(model, settings)
    model.train()
    for step in range(settings.steps):
        rate = min((step + 1) / settings.warm_up, 1.0, 2 * (1 - step / settings.steps))
        for optimizer, full in optimizers:
            optimizer.param_groups[0]["lr"] = full * rate
        rows = examples(rng)
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
        labels = torch.tensor([[*row, *[-100] * (width - len(row))] for row in rows])
        loss = model(input_ids=ids, attention_mask=labels != -100, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        report(step + 1, loss.item())
    model.eval()


def _optimizers(model: Any, settings: WarmStart) -> list[tuple[Any, float]]:
    """Return each optimizer with its full learning rate."""
    import torch

    matrices: list[Any] = []
    others: list[Any] = []
    for name, weight in model.named_parameters():
        (matrices if weight.ndim == 2 and "embed" not in name else others).append(weight)
    muon = Muon(matrices, settings.muon_rate)
    adam = torch.optim.AdamW(others, lr=settings.adam_rate, betas=(0.9, 0.95), weight_decay=0.0)
    return [(muon, settings.muon_rate), (adam, settings.adam_rate)]
