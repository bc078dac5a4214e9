"""`recode-eval leaderboard submit` and `review`: a run for a public board, and its check in CI."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import configs, options
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from recode_eval.leaderboard.review import Reviewed
    from recode_eval.leaderboard.submissions import Submission

ACTIONS = ("submit", "review")
_FOLDER = Path("leaderboard", "submissions")


def add_parsers(actions: Any) -> None:
    """Add the two actions to those of `recode-eval leaderboard`."""
    submit = actions.add_parser(
        "submit",
        help="prepare a run for a pull request to a public leaderboard",
        description="Check that a run may stand on a public board (the whole task, hardly anything "
        "unscored), take out paths, private hosts and secrets, pack it under a stable name, write "
        "its facts beside it, and print what to commit. Nothing is sent.",
    )
    submit.add_argument("run", type=options.path, metavar="RUN", help="a run's folder")
    submit.add_argument(
        "--how",
        required=True,
        metavar="TEXT",
        help="how others get the model: a hub id, or the name and date of an API",
    )
    submit.add_argument(
        "-o",
        "--out",
        type=options.path,
        default=_FOLDER,
        metavar="FOLDER",
        help=f"the board's folder of submissions (default: {_FOLDER})",
    )
    add_rows(submit)
    submit.add_argument("--quiet", action="store_true", help="no notes")
    submit.add_argument("--debug", action="store_true", help="show a traceback on errors")
    review = actions.add_parser(
        "review",
        help="verify submitted packs as CI does, and write a report",
        description="Verify packs and the facts beside them, and grade a part of the answers "
        "again, drawn by the commit. Exit code 0: sound; 1: something is wrong; 75: some samples "
        "could not be graded here.",
    )
    review.add_argument("packs", nargs="+", type=options.path, metavar="PACK", help="packs")
    review.add_argument(
        "--commit", required=True, metavar="SHA", help="the commit to draw by, or any text"
    )
    review.add_argument(
        "--share",
        type=options.portion,
        default=0.1,
        metavar="SHARE",
        help="share of the samples to grade again, 0 to 1 (default: 0.1, but at least 20 samples)",
    )
    review.add_argument(
        "--summary", type=options.path, metavar="FILE.md", help="write the report here, too"
    )
    add_rows(review)
    options.add_where_options(review)
    options.add_output_options(review)


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Add where the rows of the tasks are, which a check compares with."""
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="the task's rows; bundled tasks need none",
    )
    options.add_include_path(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Do what was asked; raises `RecodeError`."""
    return _submit(arguments) if arguments.action == "submit" else _review(arguments)


def _submit(arguments: argparse.Namespace) -> ExitCode:
    from recode_eval.leaderboard.sources import Sources
    from recode_eval.leaderboard.submissions import submit
    from recode_eval.terminal import printable

    sources = Sources(configs.data_sources(arguments.data), arguments.include_path)
    found = submit(arguments.run, arguments.out, arguments.how, sources)
    print(printable(found.pack))
    print(printable(found.facts_file))
    if not arguments.quiet:
        _say_next(found)
    return ExitCode.OK


def _say_next(found: Submission) -> None:
    from recode_eval.metrics import metric
    from recode_eval.terminal import one_line, stderr_console

    console = stderr_console()
    facts, shown = found.facts, metric(found.facts.metric)
    interval = shown.show_interval(facts.low, facts.high)
    said = (
        f"{facts.model} on {facts.board}: {shown.label} {shown.show(facts.value)} {interval}, "
        f"{facts.problems} problems, n = {facts.n}; {found.pack.stat().st_size:,} bytes. Paths, "
        "private hosts and secrets of the command line are taken out; answers are as they were."
    )
    console.print(one_line(said, 1000), soft_wrap=True)
    if facts.run != found.was:
        said = f"A folder or host is taken out of the identity: run {found.was} is {facts.run}."
        console.print(said, soft_wrap=True)
    for text in found.warnings:
        console.print(f"warning: {one_line(text)}", style="yellow", soft_wrap=True)
    files = [shlex.quote(str(path)) for path in (found.pack, found.facts_file)]
    title = shlex.quote(f"Submit {one_line(facts.model, 60)} on {one_line(facts.task, 60)}")
    console.print("Next:", soft_wrap=True)
    for line in (
        f"recode-eval leaderboard review {files[0]} --commit try   # what CI will do",
        f"git switch -c {shlex.quote(found.branch)}",
        f"git add {' '.join(files)}",
        f"git commit -m {title}",
        f"git push -u origin {shlex.quote(found.branch)}   # in a fork; then open a pull request",
    ):
        console.print(f"  {one_line(line, 1000)}", soft_wrap=True)


def _review(arguments: argparse.Namespace) -> ExitCode:
    from recode_eval.leaderboard.review import markdown, review
    from recode_eval.leaderboard.sources import Sources
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.run.store import write_text
    from recode_eval.tasks.registry import create_task
    from recode_eval.terminal import stdout_for_results

    monitor = create_monitor(quiet=arguments.quiet)
    sources = Sources(configs.data_sources(arguments.data), arguments.include_path)
    with (
        stdout_for_results(),
        Sandboxes(configs.sandbox_options(arguments), monitor.log) as sandboxes,
    ):
        reviews = [
            review(
                file,
                arguments.commit,
                sources,
                lambda name: create_task(name, arguments.include_path),
                lambda task, isolation: sandboxes.opener(task, isolation)(),
                share=arguments.share,
                note=monitor.log,
            )
            for file in arguments.packs
        ]
    report = markdown(reviews, arguments.commit)
    if arguments.summary is not None:
        write_text(arguments.summary, report)
    if arguments.json:
        content = [item.as_json() for item in reviews]
        json.dump({"schema_version": 1, "reviews": content}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(report)
    return _code(reviews)


def _code(reviews: list[Reviewed]) -> ExitCode:
    if not all(item.sound for item in reviews):
        return ExitCode.CHECK_FAILED
    return ExitCode.OK if all(item.complete for item in reviews) else ExitCode.INCOMPLETE
