"""The page on why answers fail: a bar per run, which leads to the failing answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.leaderboard.charts import Part, stacked_bar
from recode_eval.leaderboard.failure_classes import CLASSES, PASSED
from recode_eval.leaderboard.site_views import SiteView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from markupsafe import Markup

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.site_views import SiteData

_MOST_ROWS: Final = 60


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One run of a board."""

    standing: Standing
    bar: Markup
    shares: Mapping[str, float]
    """Of the scored samples, by class."""
    samples: int


@dataclass(frozen=True, slots=True)
class FailureSection:
    """One board."""

    board: Board
    rows: Sequence[FailureRow]
    classes: Sequence[str]
    """Those that occur, in order."""
    left_out: int


def sections(boards: Iterable[Board]) -> list[FailureSection]:
    """Return the boards with tests, each with its runs; built-in answers are left out."""
    found = []
    for board in boards:
        if not board.first.tested:
            continue
        rows = [row for row in map(_row, board.models) if row is not None]
        if not rows:
            continue
        occurring = [name for name in CLASSES if any(row.shares.get(name) for row in rows)]
        found.append(
            FailureSection(board, rows[:_MOST_ROWS], occurring, max(0, len(rows) - _MOST_ROWS))
        )
    return found


def _row(standing: Standing) -> FailureRow | None:
    counts = standing.run.failures.counts
    total = sum(counts.values())
    if not total:
        return None
    shares = {name: counts[name] / total for name in (PASSED, *CLASSES)}
    parts = [Part(name, shares[name], index) for index, name in enumerate((PASSED, *CLASSES))]
    label = f"{standing.run.model_name} on {standing.run.task}"
    return FailureRow(standing, stacked_bar(parts, label), shares, total)


def _context(site: SiteData) -> dict[str, Any] | None:
    found = sections(site.boards)
    if not found:
        return None
    return {"sections": found, "classes": CLASSES, "passed": PASSED}


FAILURES_VIEW = SiteView("failures.html", "Why they fail", "failures.html", _context)
