"""Scores by date: each model on the problems whose change was made after a day.

A problem's day is the earliest on which its change can have been public (`contamination`), so that
"after" is certain. The page has a table of a few fixed days, made here, and a slider over all days,
for which the browser computes the same numbers (static/dates.js, static/windows.js).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from recode_eval.leaderboard.boards import scores
from recode_eval.leaderboard.comparing import data_path
from recode_eval.leaderboard.ranking import ALPHA, Rank, ranks
from recode_eval.leaderboard.site_views import SiteView
from recode_eval.leaderboard.text import script_json
from recode_eval.metrics import metric
from recode_eval.run.results import CONFIDENCE
from recode_eval.stats.estimates import Estimate, cluster_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.model_facts import FactBook
    from recode_eval.leaderboard.site_views import SiteData

_MOST_WINDOWS: Final = 5
_MONTHS: Final = (12, 6, 3, 1)
"""Lengths of a period between two fixed days, the most readable first."""


@dataclass(frozen=True, slots=True)
class DatedModel:
    """A run, and the day until which its model may know of changes."""

    standing: Standing
    until: date | None
    source: str
    """What `until` is: `cut-off` (its makers say so), `release` (later than that), or empty."""


@dataclass(frozen=True, slots=True)
class WindowCell:
    """One model in one window."""

    estimate: Estimate
    rank: Rank | None


@dataclass(frozen=True, slots=True)
class Window:
    """Problems whose change was made after a day; all of them where there is no day."""

    after: date | None
    newer: bool
    """Whether each model is asked only about changes after what it may know."""
    problems: int
    """Problems after the day; with `newer` a model may have fewer."""
    cells: Sequence[WindowCell]
    """In the order of the models."""


@dataclass(frozen=True, slots=True)
class DatedBoard:
    """A board whose problems are of two days or more."""

    board: Board
    models: Sequence[DatedModel]
    days: Sequence[date]
    """All distinct days, ascending."""
    changes: Mapping[str, date]
    """The day of every problem of which it is known."""
    windows: Sequence[Window]

    @property
    def unknown(self) -> int:
        """Problems whose day nobody here knows: they are in no window after a day."""
        return self.board.problems - len(self.changes)

    @property
    def without_cutoff(self) -> int:
        """Models of which neither a cut-off nor a release date is known."""
        return sum(model.until is None for model in self.models)


def dated_boards(
    boards: Iterable[Board], changes: Mapping[str, Mapping[str, date]], facts: FactBook
) -> list[DatedBoard]:
    """Return the boards whose problems are of two days or more, with their fixed windows."""
    return [
        _dated(board, changes[board.key], facts)
        for board in boards
        if len(set(changes[board.key].values())) > 1
    ]


def _dated(board: Board, known: Mapping[str, date], facts: FactBook) -> DatedBoard:
    models = [_model(standing, facts) for standing in board.models]
    days = sorted(set(known.values()))
    starts = [None, *fixed_days(days)]
    windows = [window(board, models, known, after) for after in starts]
    if any(model.until for model in models):
        windows.append(window(board, models, known, None, newer=True))
    return DatedBoard(board, models, days, known, windows)


def _model(standing: Standing, facts: FactBook) -> DatedModel:
    found = facts.find(standing.run.bare_name)
    for day, source in ((found.cutoff, "cut-off"), (found.released, "release")):
        if day is not None:
            return DatedModel(standing, date.fromisoformat(day), source)
    return DatedModel(standing, None, "")


def fixed_days(days: Sequence[date]) -> list[date]:
    """Return a few ends of periods (years, else parts of one) that have problems on both sides.

    >>> [str(day) for day in fixed_days([date(2022, 5, 1), date(2023, 2, 1), date(2024, 6, 1)])]
    ['2022-12-31', '2023-12-31']
    """
    found: list[date] = []
    for months in _MONTHS:
        ends = _ends(days[0], days[-1], months)
        # Of several that split the days alike, the last.
        chosen = list({bisect_right(days, end): end for end in ends}.values())
        if found and len(chosen) > _MOST_WINDOWS:
            break
        if len(chosen) > len(found):
            found = chosen[-_MOST_WINDOWS:]
    return found


def _ends(first: date, last: date, months: int) -> list[date]:
    """Return the last days of all periods of some months that end within the span."""
    found = []
    for month in range(first.year * 12, last.year * 12 + 12, months):
        after = month + months
        end = date(after // 12, after % 12 + 1, 1) - timedelta(days=1)
        if first <= end < last:
            found.append(end)
    return found


def window(
    board: Board,
    models: Sequence[DatedModel],
    known: Mapping[str, date],
    after: date | None,
    *,
    newer: bool = False,
) -> Window:
    """Return scores and ranks on the problems that changed after a day.

    With `newer` a problem counts for a model only if it changed after what the model may know; a
    model of which that is not known has no score. Two models are compared on the problems that
    count for both.
    """
    values, clusters = scores([model.standing.run for model in models])
    order = sorted(problem.id for problem in board.first.problems)
    masked = [
        [
            value if _counts(known.get(key), after, model, newer=newer) else None
            for key, value in zip(order, row, strict=True)
        ]
        for model, row in zip(models, values, strict=True)
    ]
    bounds = metric(board.primary).bounds
    means = [cluster_mean(row, clusters, CONFIDENCE, bounds=bounds) for row in masked]
    ranked = [
        i for i, model in enumerate(models)
        if model.standing.rank is not None and means[i].mean is not None
    ]  # fmt: skip
    found = dict(zip(ranked, ranks([masked[i] for i in ranked], clusters), strict=True))
    problems = len(order) if after is None else sum(day > after for day in known.values())
    cells = [WindowCell(mean, found.get(i)) for i, mean in enumerate(means)]
    return Window(after, newer, problems, cells)


def _counts(day: date | None, after: date | None, model: DatedModel, *, newer: bool) -> bool:
    if newer and (model.until is None or day is None or day <= model.until):
        return False
    return after is None or (day is not None and day > after)


def page_data(found: Iterable[DatedBoard]) -> list[dict[str, Any]]:
    """Return what the slider needs beside the board's data file (`comparing.board_data`)."""
    return [
        {
            "key": item.board.key,
            "file": data_path(item.board),
            "metric": metric(item.board.primary).to_json(),
            "alpha": ALPHA,
            "confidence": CONFIDENCE,
            "days": [day.isoformat() for day in item.days],
            "of": _positions(item),
            "models": [
                {
                    "run": model.standing.run.key,
                    "until": model.until.isoformat() if model.until else "",
                    "ranked": model.standing.rank is not None,
                }
                for model in item.models
            ],
        }
        for item in found
    ]


def _positions(item: DatedBoard) -> list[int]:
    """Return each problem's day as its place in `days`, -1 where it is not known."""
    places = {day: index for index, day in enumerate(item.days)}
    known = (item.changes.get(problem.id) for problem in item.board.first.problems)
    return [-1 if day is None else places[day] for day in known]


def _context(site: SiteData) -> dict[str, Any] | None:
    found = dated_boards(site.boards, site.changes, site.facts)
    if not found:
        return None
    data = Markup(script_json(page_data(found)))  # noqa: S704
    return {"dated": found, "data": data, "others": len(site.boards) - len(found)}


DATES_VIEW = SiteView("dates.html", "By date", "dates.html", _context)
