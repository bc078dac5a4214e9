"""How much of a training's alpha one verdict may spend, so that the whole run errs no more often.

A watch that judges every checkpoint at the full level calls some equally good one worse in a third
of all trainings of 50 checkpoints. Here the verdicts of a training share alpha: each has a level of
its own, and their sum stays below alpha however many checkpoints come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.stats.sequential import HALF_SPENT, verdict_share

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@dataclass(frozen=True, slots=True)
class Spending:
    """The place of one verdict among those of its training.

    >>> Spending(1).regress_share, Spending(1, promotes=True).regress_share
    (0.09090909090909091, 0.045454545454545456)
    """

    number: int
    """1 for the first verdict."""
    promotes: bool = False
    """Whether a checkpoint that has improved becomes the reference. A false promotion makes the
    next equally good checkpoints look worse, so half of alpha guards against it."""

    @property
    def regress_share(self) -> float:
        """The share of alpha that a `regress` may spend, in (0, 1)."""
        return verdict_share(self.number) / (2 if self.promotes else 1)

    @property
    def promotion_share(self) -> float | None:
        """The share of alpha that a promotion may spend; None where there are none."""
        return verdict_share(self.number) / 2 if self.promotes else None

    def to_json(self, alpha: float) -> dict[str, Any]:
        """Return what a verdict and a line of the history say: levels are one-sided."""
        promotion = self.promotion_share
        return {
            "number": self.number,
            "alpha": alpha,
            "level": alpha * self.regress_share,
            "promotion_level": None if promotion is None else alpha * promotion,
            "spent": alpha * self.number / (self.number + HALF_SPENT),
        }


def spending_from_json(content: Mapping[str, Any] | None) -> Spending | None:
    """Return what a job was told: `number` and `promotes`."""
    return None if content is None else Spending(content["number"], promotes=content["promotes"])
