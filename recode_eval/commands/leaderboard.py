"""`recode-eval leaderboard build`: a static site from the runs of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from recode_eval.leaderboard.site import Built


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="write the site",
        description="Write a site with every run below the given folders. It needs no server: open "
        "its index.html. A run whose files do not agree is named and left out (exit code 65).",
    )
    build.add_argument(
        "runs", nargs="+", type=options.path, metavar="RUNS", help="folder with runs (see --out)"
    )
    build.add_argument(
        "--out",
        type=options.path,
        default=Path("site"),
        metavar="SITE",
        help="where the site goes (default: site); an earlier site there is replaced",
    )
    build.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="a task's rows, to show prompts and references; bundled tasks need none",
    )
    options.add_include_path(build)
    build.add_argument(
        "--models",
        action="append",
        type=options.path,
        default=[],
        metavar="FILE.yaml",
        help="facts about models: base, method, size, release date (docs/leaderboard.md)",
    )
    build.add_argument(
        "--no-reported", action="store_true", help="leave out the results that papers report"
    )
    build.add_argument(
        "--gate",
        action="append",
        type=options.path,
        default=[],
        metavar="VERDICT",
        help="verdict.json of the gate, or a folder with some: the newest is shown on the first "
        "page, all of them on a page of their own",
    )
    build.add_argument(
        "--training",
        action="append",
        type=options.path,
        default=[],
        metavar="DIR",
        help="folder with logs of recode-train, for the page on training; those below RUNS are "
        "found by themselves",
    )
    build.add_argument(
        "--jobs",
        type=options.positive,
        metavar="N",
        help="processes for large sites (default: as many as CPUs); the site is the same",
    )
    build.add_argument("--quiet", action="store_true", help="no notes")
    build.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Build, print the path of the first page; exit code 65 if a run was left out."""
    from recode_eval.leaderboard.site import build
    from recode_eval.progress import create_monitor
    from recode_eval.terminal import printable

    monitor = create_monitor(quiet=arguments.quiet)
    built = build(
        arguments.runs,
        arguments.out,
        data=options.data_sources(arguments.data),
        include_paths=arguments.include_path,
        models=arguments.models,
        reported=not arguments.no_reported,
        gates=arguments.gate,
        jobs=arguments.jobs,
        trainings=arguments.training,
        note=monitor.note,
    )
    name_left_out(built)
    print(printable(built.index.absolute()))
    return ExitCode.DATA if built.broken else ExitCode.OK


def name_left_out(built: Built) -> None:
    """Say on standard error which runs are not on the site, and why."""
    from recode_eval.terminal import one_line, stderr_console

    for broken in built.broken:
        stderr_console().print(
            f"left out: {one_line(broken.where)}: {one_line(broken.reason)}",
            style="yellow",
            soft_wrap=True,
        )
