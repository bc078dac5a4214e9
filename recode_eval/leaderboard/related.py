"""Where else on the site a run is: links from its model's page and from the methods' rows.

A link is made from what a view shows, so none leads to a section that is not there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.leaderboard.methods import Role, role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.model_facts import FactBook
    from recode_eval.leaderboard.site_views import SiteData, SiteView


@dataclass(frozen=True, slots=True)
class Link:
    """A place on the site; `path` is below its first page."""

    text: str
    path: str
    kind: str
    """`base`, `failures`, `arms`, `method` or `dates`."""


def related(
    site: SiteData, views: Iterable[tuple[SiteView, Mapping[str, Any]]]
) -> dict[str, list[Link]]:
    """Return the links of every run by its key."""
    shown = {view.path: context for view, context in views}
    found: dict[str, list[Link]] = defaultdict(list)
    for board in site.boards:
        for standing in board.standings:
            base = _base(board, standing, site.facts)
            if base is not None:
                path = f"compare.html#a={base.run.key}&b={standing.run.key}"
                found[standing.run.key].append(
                    Link(f"Compare with its base, {base.run.model_name}", path, "base")
                )
    for section in shown.get("failures.html", {}).get("sections", ()):
        for row in section.rows:
            path = f"failures.html#failures-{section.board.key}"
            found[row.standing.run.key].append(Link("Why its answers fail", path, "failures"))
    for section in shown.get("lift.html", {}).get("sections", ()):
        for row in section.rows:
            for cell in row.cells.values():
                path = f"lift.html#lift-of-{section.key}"
                found[cell.run].append(Link("What documentation changes", path, "arms"))
    for block in getattr(shown.get("methods.html", {}).get("view"), "blocks", ()):
        for run in _runs_of(block):
            path = f"methods.html#{block.anchor}"
            found[run].append(Link("Against other methods on its base", path, "method"))
    for item in shown.get("dates.html", {}).get("dated", ()):
        for model in item.models:
            path = f"dates.html#dates-{item.board.key}"
            found[model.standing.run.key].append(Link("By date of the change", path, "dates"))
    return dict(found)


def _runs_of(block: Any) -> Sequence[str]:
    keys = (
        item.standing.run.key
        for section in block.sections
        for row in section.rows
        for item in row.runs
    )
    return list(dict.fromkeys(keys))


def _base(board: Board, standing: Standing, facts: FactBook) -> Standing | None:
    """Return the best run on the board of the model that this one was trained from."""
    known = facts.find(standing.run.bare_name)
    if known.base is None or known.method is None or role(known.method) is Role.BASE:
        return None
    for other in board.models:
        about = facts.find(other.run.bare_name)
        if about.base == known.base and about.method and role(about.method) is Role.BASE:
            return other
    return None
