"""`recode-eval leaderboard snapshot`, `diff` and `badge`: what is kept and cited of a site."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import configs, options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    import datetime as dt

    from recode_eval.leaderboard.badges import Badge
    from recode_eval.leaderboard.snapshots import RowChange

ACTIONS = ("snapshot", "diff", "badge")


def add_parsers(actions: Any) -> None:
    """Add the three actions to those of `recode-eval leaderboard`."""
    snapshot = actions.add_parser(
        "snapshot",
        help="keep what a site says today, under a name that never changes",
        description="Write the rows of a built site to FOLDER/DATE-HASH.json. The name holds the "
        "hash of the content; a snapshot that is there already is left as it is. `leaderboard "
        "build --snapshots FOLDER` shows them on the site.",
    )
    snapshot.add_argument("site", type=options.path, metavar="SITE", help="folder of a built site")
    snapshot.add_argument(
        "-o",
        "--out",
        type=options.path,
        default=Path("snapshots"),
        metavar="FOLDER",
        help="where snapshots are kept (default: snapshots)",
    )
    snapshot.add_argument(
        "--date", type=_day, metavar="YYYY-MM-DD", help="its day (default: today, UTC)"
    )
    snapshot.add_argument("--debug", action="store_true", help="show a traceback on errors")
    diff = actions.add_parser(
        "diff",
        help="what changed between two snapshots",
        description="Name the runs that came and went between two snapshots, and those whose rank "
        "or figures are others.",
    )
    diff.add_argument("old", type=options.path, metavar="OLD", help="a snapshot")
    diff.add_argument("new", type=options.path, metavar="NEW", help="a later snapshot")
    diff.add_argument(
        "--html", type=options.path, metavar="FILE", help="also write it as a page of its own"
    )
    diff.add_argument("--json", action="store_true", help="print the changes as JSON")
    diff.add_argument("--debug", action="store_true", help="show a traceback on errors")
    badge = actions.add_parser(
        "badge",
        help="an SVG with a run's score, or with a verdict of the gate",
        description="Print an SVG for a README or a model's card: the ranking metric of a run with "
        "its interval, or the verdict of a gate. A site has them all (badges.html).",
    )
    badge.add_argument("run", nargs="?", type=options.path, metavar="RUN", help="a run's folder")
    badge.add_argument(
        "--gate", type=options.path, metavar="VERDICT", help="a verdict.json instead of a run"
    )
    badge.add_argument("--metric", metavar="NAME", help="another metric, such as upass@1")
    badge.add_argument(
        "-o", "--out", type=options.path, metavar="FILE.svg", help="write it here instead"
    )
    badge.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="the task's rows, to tell a part from the whole; bundled tasks need none",
    )
    options.add_include_path(badge)
    badge.add_argument("--debug", action="store_true", help="show a traceback on errors")


def _day(text: str) -> dt.date:
    import argparse
    import datetime as dt

    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day as 2026-03-05 ({error})") from None


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Do what was asked; raises `RecodeError`."""
    return {"snapshot": _snapshot, "diff": _diff, "badge": _badge}[arguments.action](arguments)


def _snapshot(arguments: argparse.Namespace) -> ExitCode:
    import datetime as dt

    from recode_eval.leaderboard.snapshots import take, write
    from recode_eval.terminal import printable

    day = arguments.date or dt.datetime.now(dt.UTC).date()
    print(printable(write(take(arguments.site, day), arguments.out)))
    return ExitCode.OK


def _diff(arguments: argparse.Namespace) -> ExitCode:
    from recode_eval.leaderboard.snapshots import differences, read, summary
    from recode_eval.run.store import write_text
    from recode_eval.terminal import stdout_console

    old, new = read(arguments.old), read(arguments.new)
    changes = differences(old, new)
    if arguments.html is not None:
        from recode_eval.leaderboard.snapshot_pages import diff_page
        from recode_eval.resources import resource_dir

        write_text(arguments.html, diff_page(resource_dir("leaderboard"), old, new))
    if arguments.json:
        content = {"schema_version": 1, "old": old.name, "new": new.name,
                   "changes": [change.as_json() for change in changes]}  # fmt: skip
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return ExitCode.OK
    _show(changes)
    stdout_console().print(f"From {old.date} to {new.date}: {summary(changes)}.", soft_wrap=True)
    return ExitCode.OK


def _show(changes: list[RowChange]) -> None:
    from recode_eval.leaderboard.snapshot_pages import score
    from recode_eval.tables import print_table
    from recode_eval.terminal import one_line, stdout_console

    rows = []
    for change in changes:
        ranks = [one_line(row.rank, 20) for row in (change.old, change.new) if row is not None]
        scores = [one_line(score(row), 60) for row in (change.old, change.new) if row is not None]
        rows.append([
            one_line(change.row.model, 60),
            one_line(change.row.board, 60),
            change.kind,
            " -> ".join(dict.fromkeys(ranks)),
            " -> ".join(dict.fromkeys(scores)),
        ])  # fmt: skip
    if rows:
        headings = ["model", "board", "what", "rank", "score"]
        print_table(stdout_console(), headings, rows, left=(0, 1, 2))


def _badge(arguments: argparse.Namespace) -> ExitCode:
    from recode_eval.run.store import make_folder, write_text
    from recode_eval.terminal import printable

    if (arguments.run is None) == (arguments.gate is None):
        raise UsageError(
            "Name a run, or a verdict: recode-eval leaderboard badge RUN, or recode-eval "
            "leaderboard badge --gate verdict.json"
        )
    drawn = _of_gate(arguments) if arguments.run is None else _of_run(arguments)
    if arguments.out is None:
        sys.stdout.write(drawn.svg)
    else:
        make_folder(arguments.out.parent)
        write_text(arguments.out, drawn.svg)
        print(printable(arguments.out))
    return ExitCode.OK


def _of_gate(arguments: argparse.Namespace) -> Badge:
    from recode_eval.errors import DataError
    from recode_eval.leaderboard.badges import gate_badge
    from recode_eval.leaderboard.gates import read_verdicts

    if arguments.metric is not None:
        raise UsageError("--metric is for a run; the policy of a gate names its metrics.")
    verdicts, broken = read_verdicts([arguments.gate])
    if not verdicts:
        reason = broken[0].reason if broken else "no verdict.json is there"
        raise DataError(f"{arguments.gate}: {reason}")
    return gate_badge(verdicts[0].content)


def _of_run(arguments: argparse.Namespace) -> Badge:
    from recode_eval.leaderboard.badges import score_badge
    from recode_eval.leaderboard.sources import Sources
    from recode_eval.leaderboard.submissions import board_of
    from recode_eval.terminal import one_line

    sources = Sources(configs.data_sources(arguments.data), arguments.include_path)
    board = board_of(arguments.run, sources)
    try:
        return score_badge(board, board.standings[0], arguments.metric)
    except KeyError:
        known = ", ".join(sorted(board.first.results.metrics))
        raise UsageError(
            f"--metric {one_line(arguments.metric, 60)}: the run has {one_line(known)}."
        ) from None
