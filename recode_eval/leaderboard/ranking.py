"""Ranks that claim no more than the data: indistinguishable models share them.

Every pair is compared by its paired difference per problem, clustered, as in `comparison`; the
p-values of a board go through Holm's procedure. A model's rank is one more than the number of
models that are significantly better; its worst possible rank is the number of models that are not
significantly worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.comparison.differences import holm
from recode_eval.stats.pairwise import pairwise

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Rank:
    """The best and the worst rank that the data leave possible, from 1."""

    best: int
    worst: int

    @property
    def tied(self) -> bool:
        """Whether another model may have the same rank."""
        return self.best != self.worst

    def __str__(self) -> str:
        return f"{self.best}-{self.worst}" if self.tied else str(self.best)


def ranks(
    scores: Sequence[Sequence[float | None]], clusters: Sequence[Hashable], alpha: float = ALPHA
) -> list[Rank]:
    """Return the rank of each model from its scores per problem (each in [0, 1], None: unscored).

    `clusters[p]` is the cluster of problem p. A pair whose p-value the data cannot give counts as
    not told apart.
    """
    import numpy as np

    count = len(scores)
    means, p_values = pairwise(scores, clusters)
    first, second = np.triu_indices(count, 1)
    known = [None if np.isnan(p) else float(p) for p in p_values[first, second]]
    real = np.zeros((count, count), dtype=bool)
    real[first, second] = [p is not None and p <= alpha for p in holm(known)]
    real |= real.T
    better, worse = (real & (means < 0)).sum(axis=1), (real & (means > 0)).sum(axis=1)
    return [Rank(1 + int(b), count - int(w)) for b, w in zip(better, worse, strict=True)]
