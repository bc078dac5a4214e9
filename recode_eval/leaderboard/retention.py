"""Retention against gain: what a method teaches, and how much of the base's ability it costs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.leaderboard.methods import USUAL, Role
from recode_eval.leaderboard.plots import Cross, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.comparison.pooling import Change
    from recode_eval.leaderboard.methods import BaseModelBlock, Delta


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """Retention against gain on one pair of tasks, over all base models."""

    gain: str
    kept: str
    points: tuple[tuple[Cross, str, Delta, Change, Change], ...]
    """The point, its base model, what is compared, the gain and the change in retention."""


def tradeoffs(found: Iterable[BaseModelBlock]) -> list[Tradeoff]:
    """Return each method's gain and retention against the base, for each pair of boards.

    Boards and not tasks: points under different conditions would look comparable.
    """
    groups: dict[tuple[str, str], list[tuple[str, Delta, Change, Change, int]]] = defaultdict(list)
    for block in found:
        for section in block.sections:
            for delta in section.deltas:
                reference = section.row(delta.reference)
                gain, kept = section.change(delta), section.kept(delta)
                if reference is None or reference.role is not Role.BASE:
                    continue
                if gain is None or kept is None or section.retention is None:
                    continue
                key = section.board.label, section.retention.board.label
                groups[key].append((block.base, delta, gain, kept, _style(delta.method)))
    return [
        Tradeoff(
            gain_label,
            kept_label,
            tuple(
                (
                    Cross(number, f"{base}, {delta.method}", style, _span(gain), _span(kept)),
                    base,
                    delta,
                    gain,
                    kept,
                )
                for number, (base, delta, gain, kept, style) in enumerate(items, 1)
            ),
        )
        for (gain_label, kept_label), items in sorted(groups.items())
    ]


def _style(method: str) -> int:
    """Return a colour per kind of method, so that it is the same in every chart."""
    name = method.casefold()
    kinds = ("sft", *USUAL)
    return next((i for i, known in enumerate(kinds) if name.startswith(known)), len(kinds))


def _span(item: Change) -> Span:
    return Span(item.value, item.low, item.high)
