"""The pages of a site beside those of runs, tasks and problems: one entry each.

A view is a module with a `SiteView`, its template, and a line in `VIEWS`. It sees all of the site's
data, and says by None that there is nothing to show: then there is neither a page nor a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from recode_eval.leaderboard.boards import Board
    from recode_eval.leaderboard.contamination import Exposure
    from recode_eval.leaderboard.gates import GateVerdict
    from recode_eval.leaderboard.loading import BrokenRun
    from recode_eval.leaderboard.model_facts import FactBook, ReportedRow
    from recode_eval.leaderboard.rows import Row
    from recode_eval.leaderboard.snapshots import Snapshot
    from recode_eval.leaderboard.views import TrainingViews


@dataclass(frozen=True, slots=True)
class SiteData:
    """Everything that a site is made of, besides the samples."""

    boards: Sequence[Board]
    rows: Sequence[Row]
    """The rows of the overview, measured and reported."""
    reported: Sequence[ReportedRow]
    facts: FactBook
    broken: Sequence[BrokenRun]
    """What was left out, and why."""
    verdicts: Sequence[GateVerdict]
    """Newest first."""
    training: TrainingViews
    exposures: Mapping[str, Exposure]
    """By the key of a run."""
    changes: Mapping[str, Mapping[str, date]]
    """By the key of a board: the known days of its problems' changes, by the problem's id."""
    snapshots: Sequence[Snapshot] = ()
    """Oldest first."""


def _no_files(_: SiteData) -> Iterable[tuple[str, str]]:
    return ()


def _no_pages(_: SiteData, __: Callable[..., str]) -> Iterable[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class SiteView:
    """One page, and the files that it loads or offers."""

    path: str
    """Of the page, below the site."""
    title: str
    """In the site's navigation; empty if it has no link there."""
    template: str
    """Name of the page's template."""
    context: Callable[[SiteData], Mapping[str, Any] | None]
    """What the template shows; None where there is nothing to show."""
    files: Callable[[SiteData], Iterable[tuple[str, str]]] = _no_files
    """Paths and contents of further files."""
    templates: Path | None = None
    """The folder of the template, where that is another package's."""
    pages: Callable[[SiteData, Callable[..., str]], Iterable[tuple[str, str]]] = _no_pages
    """Paths and contents of further pages, made by the renderer that it is given."""


VIEWS: Registry[SiteView] = Registry(
    "leaderboard view",
    "recode_eval.leaderboard_views",
    {
        "methods": "recode_eval.leaderboard.views:METHODS_VIEW",
        "failures": "recode_eval.leaderboard.failures:FAILURES_VIEW",
        "libraries": "recode_eval.leaderboard.libraries:LIBRARIES_VIEW",
        "cost": "recode_eval.leaderboard.frontier:FRONTIER_VIEW",
        "dates": "recode_eval.leaderboard.dates:DATES_VIEW",
        "training": "recode_eval.leaderboard.views:TRAINING_VIEW",
        "lift": "recode_eval.leaderboard.lift:LIFT_VIEW",
        "compare": "recode_eval.leaderboard.comparing:COMPARE_VIEW",
        "gate": "recode_eval.leaderboard.gates:GATE_VIEW",
        "glossary": "recode_eval.leaderboard.glossary:GLOSSARY_VIEW",
        "badges": "recode_eval.leaderboard.badges:BADGES_VIEW",
        "snapshots": "recode_eval.leaderboard.snapshot_pages:SNAPSHOTS_VIEW",
    },
)


def shown_views(site: SiteData) -> list[tuple[SiteView, Mapping[str, Any]]]:
    """Return the views that have something to show, with what their templates show."""
    found = ((view, view.context(site)) for view in map(VIEWS.get, VIEWS.names()))
    return [(view, context) for view, context in found if context is not None]


def view_files(
    site: SiteData,
    views: Iterable[tuple[SiteView, Mapping[str, Any]]],
    render: Callable[..., str],
) -> Iterator[tuple[str, str]]:
    """Yield path and content of the views' pages and files."""
    for view, context in views:
        yield view.path, render(view.template, root="", **context)
        yield from view.files(site)
        yield from view.pages(site, render)
