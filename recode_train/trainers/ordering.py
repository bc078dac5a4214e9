"""The order of the pairs, which depends only on a seed and a position.

The trainers get their data as one long sequence of epochs, each shuffled separately. A resumed run
therefore continues at its position even in the middle of a later epoch, where a sampler with its
own random state would repeat the order of the first.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def epoch_order(count: int, seed: str, epoch: int) -> list[int]:
    """Return the indices below `count` in the order of one epoch."""
    order = list(range(count))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return order


def long_order(count: int, length: int, seed: str) -> list[int]:
    """Return `length` indices below `count`: whole shuffled epochs, the last one cut."""
    if length and not count:
        raise ValueError("there is nothing to order")
    order: list[int] = []
    epoch = 0
    while len(order) < length:
        order += epoch_order(count, seed, epoch)
        epoch += 1
    return order[:length]


class PromptStream:
    """An endless sequence of indices below `count`; `cursor` is all of its state."""

    def __init__(self, count: int, seed: str, cursor: int = 0) -> None:
        """Begin at `cursor`; raises `ValueError` where there is nothing to draw from."""
        if count < 1:
            raise ValueError("there is nothing to draw from")
        self._count = count
        self._seed = seed
        self.cursor = cursor
        self._epoch: tuple[int, list[int]] | None = None

    def take(self, wanted: int, avoid: Collection[int] = ()) -> list[int]:
        """Return the next `wanted` indices: others than those to `avoid`, each once.

        When there are no such indices any more, any will do. What is passed over comes again in
        the next epoch.
        """
        taken: list[int] = []
        blocked = set(avoid)
        while len(taken) < wanted:
            index = self._next()
            if index in blocked and len(blocked) < self._count:
                continue
            taken.append(index)
            blocked.add(index)
        return taken

    def _next(self) -> int:
        epoch, position = divmod(self.cursor, self._count)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, epoch_order(self._count, self._seed, epoch)
        self.cursor += 1
        return self._epoch[1][position]
