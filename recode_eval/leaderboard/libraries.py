"""The matrix of models and libraries, which says which model to take for which library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.leaderboard.site_views import SiteView
from recode_eval.metrics import metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.site_views import SiteData
    from recode_eval.schemas.results import StoredEstimate

_TAGS: Final = ("dependency", "library", "package")
"""Tags that name a library, the first that a board has."""
_MOST_ROWS: Final = 60
_STEPS: Final = 10
"""Shades of a cell."""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One model on one library."""

    estimate: StoredEstimate | None
    shade: int
    best: bool
    """Whether no model of the board has a higher value."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One run of a board."""

    standing: Standing
    cells: Sequence[MatrixCell]


@dataclass(frozen=True, slots=True)
class Matrix:
    """One board: its runs by libraries."""

    board: Board
    tag: str
    libraries: Sequence[tuple[str, int]]
    """Name, and how many problems it has; most first."""
    rows: Sequence[MatrixRow]
    left_out: int


def matrices(boards: Iterable[Board]) -> list[Matrix]:
    """Return a matrix for every board whose problems name two libraries or more."""
    return [found for found in map(_matrix, boards) if found is not None]


def _matrix(board: Board) -> Matrix | None:
    standings = board.models
    tag = next((tag for tag in _TAGS if board.first.results.breakdown.get(tag)), None)
    if tag is None:
        return None
    problems: dict[str, int] = {}
    for standing in standings:
        for name, group in standing.run.results.breakdown.get(tag, {}).items():
            problems[name] = max(problems.get(name, 0), group.problems)
    if len(problems) < 2:
        return None
    libraries = sorted(problems.items(), key=lambda item: (-item[1], item[0]))
    values = [[_estimate(s, tag, name, board.primary) for name, _ in libraries] for s in standings]
    best = [
        max((e.value for row in values if (e := row[i]) is not None), default=None)
        for i in range(len(libraries))
    ]
    low, width = metric(board.primary).bounds[0], metric(board.primary).width
    rows = [
        MatrixRow(
            standing,
            [
                MatrixCell(
                    found,
                    0 if found is None
                    else min(_STEPS - 1, int(_STEPS * (found.value - low) / width)),
                    found is not None and found.value == top and len(standings) > 1,
                )
                for found, top in zip(cells, best, strict=True)
            ],
        )
        for standing, cells in zip(standings, values, strict=True)
    ]  # fmt: skip
    return Matrix(board, tag, libraries, rows[:_MOST_ROWS], max(0, len(rows) - _MOST_ROWS))


def _estimate(standing: Standing, tag: str, name: str, ranking: str) -> StoredEstimate | None:
    groups: Mapping[str, Any] = standing.run.results.breakdown.get(tag, {})
    return groups[name].metrics.get(ranking) if name in groups else None


def _context(site: SiteData) -> dict[str, Any] | None:
    found = matrices(site.boards)
    return {"matrices": found} if found else None


LIBRARIES_VIEW = SiteView("libraries.html", "Libraries", "libraries.html", _context)
