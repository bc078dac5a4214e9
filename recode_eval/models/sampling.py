"""Sampling steps for transformers' `generate`, with a random stream of its own for every row.

The library draws all rows of a batch from one global stream, so that a sample depends on its
neighbours. Here row `i` draws its `t`-th token with the `t`-th number of its own seed's stream
(Python's Mersenne twister, the same on every machine and device), by inverting the distribution
function of the row's nucleus. What is left of the batch is rounding: the kernels add up in another
order for another batch shape, which moves a probability by about one part in a million.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from recode_eval.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEAD = 1024
"""Most probable tokens that are looked at first; at usual settings they hold the nucleus."""
_MARGIN_TOKENS = 4
"""A character of UTF-8 may take up to four byte tokens."""


def nucleus_sample(scores: Any, uniforms: Any, temperature: float, top_p: float) -> Any:
    """Draw one token per row.

    `scores` are logits of shape (rows, vocabulary) and `uniforms` numbers in [0, 1) of shape
    (rows,). The nucleus is the smallest set of most probable tokens whose probability reaches
    `top_p`; it is never empty. Returns token ids of shape (rows,).
    """
    import torch

    probabilities = torch.softmax(scores.float() / temperature, dim=-1)
    ordered, tokens = _ordered(probabilities, top_p)
    if ordered.device.type != "mps":  # which has no float64
        ordered = ordered.double()
    reached = ordered.cumsum(dim=-1)
    ordered = ordered.masked_fill(reached - ordered >= top_p, 0.0)
    reached = ordered.cumsum(dim=-1)
    target = uniforms.to(reached) * reached[:, -1]
    index = torch.searchsorted(reached, target[:, None], right=True)
    last = (ordered > 0).sum(dim=-1, keepdim=True) - 1  # rounding may step over the end
    return tokens.gather(-1, index.minimum(last)).squeeze(-1)


def _ordered(probabilities: Any, top_p: float) -> tuple[Any, Any]:
    """Probabilities in falling order, equal ones by their token, and their tokens.

    A CPU takes longer to sort a vocabulary than a small model takes to compute it. There only the
    head is sorted, where it holds the nucleus of every row; what is left out was not to be drawn.
    """
    import torch

    if probabilities.device.type == "cpu" and probabilities.shape[-1] > _HEAD:
        head, tokens = probabilities.topk(_HEAD, dim=-1, sorted=False)
        tokens, places = tokens.sort(dim=-1)
        head, places = head.gather(-1, places).sort(dim=-1, descending=True, stable=True)
        tokens = tokens.gather(-1, places)
        # Of those equal to the last, some may be missing: the nucleus must end before them.
        surely = head.double().masked_fill(head <= head[:, -1:], 0.0).cumsum(dim=-1)[:, -1]
        if bool((surely >= top_p).all()):
            return head, tokens
    ordered: tuple[Any, Any] = torch.sort(probabilities, dim=-1, descending=True, stable=True)
    return ordered


class SeededSampler:
    """A logits processor that leaves only the drawn token possible; `generate` then takes it."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        """With `temperature` 0 nothing is drawn: `generate` takes the most probable token."""
        self._streams = [random.Random(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """One step of all rows; `scores` are the logits of the next token."""
        import torch

        del input_ids
        if bool(torch.isnan(scores).any()):
            raise InfrastructureError(
                "the model computes NaN instead of logits; try another dtype (bfloat16 or float32)"
            )
        if self._temperature == 0:
            return scores
        uniforms = torch.tensor([stream.random() for stream in self._streams], dtype=torch.float64)
        chosen = nucleus_sample(scores, uniforms, self._temperature, self._top_p)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)


class RowStops:
    """A stopping criterion that ends each row at its own token limit or at a stop string."""

    def __init__(
        self,
        prompt_width: int,
        limits: Sequence[int],
        stop: Sequence[str],
        decode: Callable[[int, list[int]], str],
    ) -> None:
        """`prompt_width` is the padded length; `decode(row, ids)` gives the text of `ids`."""
        self._width = prompt_width
        self._limits = limits
        self._stop = stop
        self._decode = decode
        self._window = max((len(text.encode()) for text in stop), default=0) + _MARGIN_TOKENS
        self._done = [False] * len(limits)

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Which rows are done, as a tensor of booleans."""
        import torch

        del scores
        length = input_ids.shape[1] - self._width
        tails = (
            input_ids[:, max(self._width, input_ids.shape[1] - self._window) :].tolist()
            if self._stop
            else None
        )
        for row, limit in enumerate(self._limits):
            if not self._done[row]:
                self._done[row] = length >= limit or (
                    tails is not None
                    and first_stop(self._decode(row, tails[row]), self._stop) is not None
                )
        return torch.tensor(self._done, device=input_ids.device)


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the earliest stop string begins in `text`; None if it does not occur."""
    return min((at for at in map(text.find, stop) if at >= 0), default=None)


def stops_without_prefill(stops: Sequence[str], prefill: str) -> list[str]:
    """Return the stop strings that make sense for an answer whose prefill is not sent.

    Such an answer opens with what the prefill would have held: a stop string in there (a fence)
    would cut it off before its first line.

    >>> stops_without_prefill(["```", "<end>"], "```python")
    ['<end>']
    """
    return [text for text in stops if text not in prefill and (text.strip() or text) not in prefill]
