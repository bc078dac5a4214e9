"""Where two methods differ: their difference by library, kind of update and other tags.

These are hints: many groups, few problems in each, and no correction for their number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from recode_eval.comparison.pooling import compared
from recode_eval.leaderboard.charts import Whisker, forest_plot

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from markupsafe import Markup

    from recode_eval.comparison.pooling import Change, Evidence
    from recode_eval.leaderboard.boards import Board

_MOST_GROUPS: Final = 15
"""Values of a tag that are shown, those of most problems."""
_FEWEST: Final = 2
"""Problems of a value that is shown."""
_MOST_LEAVES: Final = 0.8
"""A tag whose values are nearly all different says nothing."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """The difference on the problems of one value."""

    value: str
    change: Change


@dataclass(frozen=True, slots=True)
class Where:
    """One difference of methods by one tag."""

    method: str
    reference: str
    tag: str
    groups: Sequence[GroupChange]
    left_out: int
    """Values that are not shown."""
    chart: Markup


def where(
    board: Board,
    new: tuple[str, Evidence],
    old: tuple[str, Evidence],
    identifier: str,
) -> list[Where]:
    """Return the difference of two methods (name and values) in what ranks, by every tag.

    `identifier` is unique on the page.
    """
    whole = compared(old[1], new[1], board.primary)
    if whole is None:
        return []
    found = []
    for number, tag in enumerate(_tags(board)):
        values: dict[str, list[str]] = {}
        for problem in board.first.problems:
            values.setdefault(problem.tags.get(tag, ""), []).append(problem.id)
        order = sorted(values, key=lambda value: (-len(values[value]), value))
        groups: list[GroupChange] = []
        for value in order:
            if len(values[value]) < _FEWEST or len(groups) == _MOST_GROUPS:
                continue
            ids = frozenset(values[value])
            change = compared(_only(old[1], ids), _only(new[1], ids), board.primary)
            if change is not None:
                groups.append(GroupChange(value or "(none)", change))
        if len(groups) < 2:
            continue
        rows = [Whisker("all problems", whole.value, whole.low, whole.high)]
        rows += [
            Whisker(f"{g.value} ({g.change.problems})", g.change.value, g.change.low, g.change.high)
            for g in groups
        ]
        title = f"{new[0]} minus {old[0]} on {board.label}, by {tag.replace('_', ' ')}"
        chart = forest_plot(rows, title, f"where-{identifier}-{number}")
        found.append(Where(new[0], old[0], tag, groups, len(values) - len(groups), chart))
    return found


def _tags(board: Board) -> list[str]:
    problems = board.first.problems
    counts: dict[str, Counter[str]] = {}
    for problem in problems:
        for tag, value in problem.tags.items():
            counts.setdefault(tag, Counter())[value] += 1
    return [
        tag for tag, values in counts.items() if 1 < len(values) <= _MOST_LEAVES * len(problems)
    ]


def _only(found: Evidence, ids: Collection[str]) -> Evidence:
    """Return the evidence on some of the problems."""
    return replace(
        found,
        values={
            metric: {key: value for key, value in values.items() if key in ids}
            for metric, values in found.values.items()
        },
        trainings=tuple(_only(training, ids) for training in found.trainings),
    )
