"""The pages of snapshots: their list, one page each at an address that stays, and a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.leaderboard.site_views import SiteView
from recode_eval.leaderboard.snapshots import differences, summary
from recode_eval.metrics import metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from recode_eval.leaderboard.site_views import SiteData
    from recode_eval.leaderboard.snapshots import Snapshot, SnapshotRow


def score(row: SnapshotRow | None) -> str:
    """Return a row's value and interval for people; a dash where it has none."""
    if row is None or row.value is None:
        return "-"
    shown = metric(row.metric)
    return f"{shown.show(row.value)} {shown.show_interval(row.low, row.high)}".rstrip()


def diff_page(resources: Path, old: Snapshot, new: Snapshot) -> str:
    """Return a page of its own, without other files, on what changed from one to the other."""
    from recode_eval.leaderboard.pages import environment

    changes = differences(old, new)
    template = environment(resources, ()).get_template("snapshot_diff.html")
    return template.render(
        old=old, new=new, changes=changes, summary=summary(changes), score=score, indexed=False
    )


def _with_earlier(snapshots: Iterable[Snapshot]) -> list[tuple[Snapshot, Snapshot | None]]:
    found: list[tuple[Snapshot, Snapshot | None]] = []
    earlier = None
    for snapshot in snapshots:
        found.append((snapshot, earlier))
        earlier = snapshot
    return found


def _context(site: SiteData) -> dict[str, Any] | None:
    if not site.snapshots:
        return None
    rows = [
        (snapshot, None if earlier is None else summary(differences(earlier, snapshot)))
        for snapshot, earlier in _with_earlier(site.snapshots)
    ]
    return {"snapshots": rows[::-1]}


def _files(site: SiteData) -> Iterator[tuple[str, str]]:
    for snapshot in site.snapshots:
        yield f"snapshots/{snapshot.name}.json", snapshot.raw.decode()


def _pages(site: SiteData, render: Callable[..., str]) -> Iterator[tuple[str, str]]:
    for snapshot, earlier in _with_earlier(site.snapshots):
        changes = [] if earlier is None else differences(earlier, snapshot)
        yield (
            f"snapshots/{snapshot.name}.html",
            render(
                "snapshot.html",
                root="../",
                snapshot=snapshot,
                old=earlier,
                changes=changes,
                summary=summary(changes),
                score=score,
            ),
        )


SNAPSHOTS_VIEW = SiteView("snapshots.html", "", "snapshots.html", _context, _files, pages=_pages)
