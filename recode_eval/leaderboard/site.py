"""Building the site: runs in, a folder of files out, the same bytes for the same runs.

The site is made beside its place and moved there whole; an earlier site is replaced, anything else
in that place is left alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.leaderboard import rows as table
from recode_eval.leaderboard.boards import boards, in_order
from recode_eval.leaderboard.contamination import PublicDates, exposures
from recode_eval.leaderboard.drilldown import grouped
from recode_eval.leaderboard.gates import read_verdicts
from recode_eval.leaderboard.index_cache import IndexCache
from recode_eval.leaderboard.loading import BrokenRun, load_runs
from recode_eval.leaderboard.model_facts import read_facts, read_reported
from recode_eval.leaderboard.pages import Pages
from recode_eval.leaderboard.places import open_packs, places
from recode_eval.leaderboard.processes import usable_cpus
from recode_eval.leaderboard.site_views import SiteData
from recode_eval.leaderboard.snapshots import read_all as read_snapshots
from recode_eval.leaderboard.sources import Sources
from recode_eval.leaderboard.training import read_trainings
from recode_eval.leaderboard.views import training_views
from recode_eval.leaderboard.writing import PageWriter, write_text
from recode_eval.resources import resource_dir
from recode_eval.terminal import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

MARKER = ".recode-eval-site"
"""A file that says that a folder is a site of this program, and may be replaced."""


@dataclass(frozen=True, slots=True)
class Built:
    """Result of a build."""

    index: Path
    runs: int
    pages: int
    broken: tuple[BrokenRun, ...]


def build(
    roots: Sequence[Path],
    out: Path,
    *,
    data: Mapping[str, str] | None = None,
    include_paths: Sequence[Path] = (),
    models: Sequence[Path] = (),
    reported: bool = True,
    gates: Sequence[Path] = (),
    trainings: Sequence[Path] = (),
    snapshots: Sequence[Path] = (),
    jobs: int | None = None,
    indexed: bool = False,
    cache: Path | None = None,
    reuse: bool = True,
    exchange: AbstractContextManager[object] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Built:
    """Write the site of all runs below `roots` to the folder `out`.

    A root is a folder with runs, a pack, or a folder with packs (`recode_eval.run.archive`).
    `data` maps tasks to files with their rows, `models` are files with facts about models,
    `reported` adds the published results, `gates` are files or folders with verdicts of the gate,
    `trainings` folders with logs of trainings (those below `roots` are found by themselves),
    `snapshots` folders with snapshots of earlier days. Broken runs, verdicts, snapshots and logs
    are left out and returned. Large sites are made by `jobs` processes (None: as many as there are
    CPUs); the result does not depend on it. Search engines are asked to leave the site out unless
    it is `indexed`. `cache` is a folder that keeps what was read of each run for the next build;
    with `reuse`, files of answers that the earlier site has are not made again. `exchange` is held
    while the new site takes the place of an earlier one: for a moment none is there.

    Raises:
        UsageError: no run is there, or `out` is in use for something else.
        DataError: not a single run is sound, or a file with facts is malformed.
        StorageError: the site cannot be written.
        InfrastructureError: the extra `site` is not installed.
    """
    _check_place(roots, out)
    with tempfile.TemporaryDirectory(prefix="recode-eval-packs-") as folder:
        opened, refused = open_packs(roots, Path(folder).resolve())
        if refused and not opened:
            raise DataError(f"No pack is sound. {refused[0].where}: {refused[0].reason}")
        built = _build(
            tuple(opened), refused, out, data or {}, include_paths, models, gates, trainings,
            snapshots, reported=reported, jobs=jobs or usable_cpus(), indexed=indexed,
            cache=None if cache is None else IndexCache(cache), reuse=reuse, exchange=exchange,
            note=note,
        )  # fmt: skip
        return replace(built, broken=tuple(_with_packs(item, opened) for item in built.broken))


def _build(
    roots: Sequence[Path],
    refused: Sequence[BrokenRun],
    out: Path,
    data: Mapping[str, str],
    include_paths: Sequence[Path],
    models: Sequence[Path],
    gates: Sequence[Path],
    trainings: Sequence[Path],
    snapshots: Sequence[Path],
    *,
    reported: bool,
    jobs: int,
    indexed: bool,
    cache: IndexCache | None,
    reuse: bool,
    exchange: AbstractContextManager[object] | None,
    note: Callable[[str], None],
) -> Built:
    """Write the site of the runs in folders; `refused` are those rejected before this step."""
    resources = resource_dir("leaderboard")
    found_in = places(roots)
    facts = read_facts([*models, *found_in.models, resources / "models.yaml"])
    published = read_reported(resources / "reported") if reported else []
    runs, broken = load_runs(found_in.runs, jobs, cache)
    broken += refused
    if not runs:
        first = broken[0]
        raise DataError(f"None of the {len(broken)} runs is sound. {first.where}: {first.reason}")
    verdicts, unsound = read_verdicts(gates)
    logs, unread = read_trainings(trainings, found_in.trainings)
    sources = Sources(data, include_paths)
    found = in_order(
        replace(board, whole=sources.size(board.first) or board.whole) for board in boards(runs)
    )
    views = training_views(found, facts, published, logs)
    kept, altered = read_snapshots(snapshots)
    broken += [*unsound, *unread, *(BrokenRun(name, reason) for name, reason in altered)]
    note(
        f"{plural(len(runs), 'run')}, {plural(len(verdicts), 'verdict')}, "
        f"{plural(len(logs), 'training')}, {len(broken)} left out"
    )
    dates = PublicDates.read(resources / "dates.yaml")
    exposed = exposures(runs, facts, dates, sources)
    changes = {board.key: dates.changes(board.first, sources) for board in found}
    listed = table.rows(found, published, facts, exposed)
    site = SiteData(
        found, listed, published, facts, broken, verdicts, views, exposed, changes, kept
    )
    pages = Pages(resources, site, indexed=indexed)
    earlier = out.resolve() if reuse and (out / MARKER).is_file() else None
    writer = PageWriter(pages, grouped(runs), sources, earlier)

    def files() -> Iterator[tuple[str, str]]:
        yield "index.html", pages.overview()
        if not indexed:
            yield "robots.txt", "User-agent: *\nDisallow: /\n"
        yield from pages.views()
        yield "data/leaderboard.json", table.to_json(listed, broken)
        yield "data/leaderboard.csv", table.to_csv(listed)
        yield from pages.tasks()

    def write(folder: Path) -> int:
        def others() -> int:
            count = _write_files(folder, files())
            note(f"{plural(count, 'page')} of tasks and views")
            return count

        note(f"{writer.count} pages of models and problems to come")
        return writer.write(folder, jobs, others)

    count = _write(out, write, resources / "static", exchange or nullcontext())
    return Built(out / "index.html", len(runs), count, tuple(broken))


def _with_packs(broken: BrokenRun, opened: Mapping[Path, Path]) -> BrokenRun:
    """Return it with the packs' own paths instead of those that they were unpacked to."""
    told = broken.told
    for place, source in opened.items():
        if told and place != source:
            told = told.replace(str(place), str(source.absolute()))
    return replace(broken, told=told)


def _check_place(roots: Sequence[Path], out: Path) -> None:
    place = out.resolve()
    for root in roots:
        if place == root.resolve() or place in root.resolve().parents:
            raise UsageError(
                f"--out {out} would replace the runs in {root}; choose another folder."
            )
    if out.exists() and not (out / MARKER).is_file() and not _is_empty(out):
        raise UsageError(f"--out {out} is not empty and not a leaderboard; choose another folder.")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _write(
    out: Path,
    write: Callable[[Path], int],
    static: Path,
    exchange: AbstractContextManager[object],
) -> int:
    place = out.resolve()
    fresh = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        fresh.mkdir(parents=True)
        (fresh / MARKER).write_text(
            "Made by recode-eval; the next build replaces the whole folder.\n"
        )
        shutil.copytree(static, fresh / "static")
        count = write(fresh)
        _swap(fresh, place, exchange)
    except OSError as error:
        raise StorageError(f"Cannot write the site {out}: {error}.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return count


def _write_files(folder: Path, files: Iterator[tuple[str, str]]) -> int:
    count = 0
    for name, content in files:
        write_text(folder / name, content)
        count += name.endswith(".html")
    return count


def _swap(fresh: Path, place: Path, exchange: AbstractContextManager[object]) -> None:
    """Put `fresh` in its place; an earlier site stays if that fails or is interrupted."""
    if not place.exists():
        fresh.rename(place)
        return
    stale = place.with_name(f".{place.name}.{os.getpid()}.old")
    with exchange:
        try:
            place.rename(stale)
            fresh.rename(place)
        except BaseException:
            if stale.exists() and not place.exists():
                stale.rename(place)
            raise
    shutil.rmtree(stale, ignore_errors=True)
