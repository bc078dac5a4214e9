"""`recode-eval --model MODEL --tasks TASKS`: evaluate a model (the command without a name)."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import configs, options, run_options
from recode_eval.commands.ending import Ending
from recode_eval.errors import ExitCode
from recode_eval.terminal import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from recode_eval.run.config import RunConfig

FIRST = (
    "--model", "--tasks", "--n", "--temperature", "--prompt", "--limit", "--base-url", "--sandbox",
    "--out", "--json",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_options(parser)


def add_options(parser: argparse.ArgumentParser, *, one_model: bool = True) -> None:
    """Add the options of a run; `sweep` names its models in another way."""
    options.add_model_options(parser, required=one_model, hidden=not one_model)
    options.add_task_options(parser, default=None)
    run_options.add_docs_options(parser)
    options.add_sampling_options(parser)
    run_options.add_conversation_options(parser)
    run_options.add_budget_options(parser)
    options.add_sandbox_options(parser)
    options.add_executor_options(parser)
    run = parser.add_argument_group("run")
    if one_model:
        run.add_argument(
            "--repeats",
            type=options.positive,
            default=1,
            metavar="R",
            help="run every task R times, with the seeds --seed, --seed + 1, ..., and show how far "
            "the figures move (see `recode-eval retest`)",
        )
        run.add_argument(
            "--preflight",
            action="store_true",
            help="only check that nothing is missing; say how many requests there will be, and "
            "what they may cost",
        )
    run.add_argument(
        "--quarantine",
        type=options.path,
        metavar="FILE",
        help="leave out the problems of a list that `validate --quarantine` wrote",
    )
    run.add_argument(
        "--cutoff",
        type=options.day,
        metavar="DATE",
        help="the model's knowledge cut-off: results.json also gives the figures of changes made "
        "before and after it",
    )
    output = options.add_output_options(parser)
    options.add_breakdown(output)
    output.add_argument(
        "-o",
        "--out",
        type=options.path,
        default=Path("runs"),
        metavar="FOLDER",
        help="store runs here; the same command continues its run (default: runs)",
    )


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Evaluate one model on all given tasks."""
    from recode_eval.api import evaluate
    from recode_eval.run import report
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import stdout_for_results

    ending = Ending(quiet=arguments.quiet)
    config = configs.run_config(arguments, model=arguments.model, out=arguments.out)
    if arguments.preflight:
        return _preflight(config, arguments)
    with stdout_for_results():
        evaluation = evaluate(config, progress=create_monitor(quiet=arguments.quiet))
    results = evaluation.contents()
    report.show(
        results, as_json=arguments.json, quiet=arguments.quiet, breakdown=arguments.breakdown
    )
    code = exit_code(results)
    folders = [result["folder"] for result in results]
    shown = not arguments.json and code is not ExitCode.INCOMPLETE
    if config.repeats > 1 and shown:
        _show_spread(folders)
    if len(config.docs.arms) > 1 and shown:
        _show_lift(folders)
    _say_ending(ending, results, arguments)
    return code


def _say_ending(
    ending: Ending, results: Sequence[Mapping[str, Any]], arguments: argparse.Namespace
) -> None:
    scored = sum(result["counts"]["scored"] for result in results)
    unscored = sum(result["counts"]["unscored"] for result in results)
    if unscored:
        done = f"{plural(scored, 'sample')} with a score, {unscored:,} without"
        ending.say(done, ["the same command tries those again"], well=False)
        return
    where = shlex.quote(str(arguments.out))
    ending.say(
        f"{plural(scored, 'sample')} with a score",
        [f"recode-eval leaderboard build {where} --out site   # a page for every answer"],
        well=bool(scored),
    )


def _preflight(config: RunConfig, arguments: argparse.Namespace) -> ExitCode:
    """Print what is missing; the exit code is that of the run, or 0 if nothing is."""
    from recode_eval.run.preflight import preflight, told
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import one_line, stdout_console, stdout_for_results

    with stdout_for_results():
        report = preflight(config, create_monitor(quiet=arguments.quiet))
    if arguments.json:
        json.dump(report.to_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        console = stdout_console()
        for line in told(report):
            console.print(one_line(line), soft_wrap=True)
    error = report.findings.error
    return ExitCode.OK if error is None else ExitCode(error.exit_code)


def _show_spread(folders: Sequence[str]) -> None:
    from recode_eval.commands import retest
    from recode_eval.comparison.retest import retests
    from recode_eval.run.results_file import load_every_run
    from recode_eval.terminal import stdout_console

    retest.show(stdout_console(), retests(load_every_run(map(Path, folders))))


def _show_lift(folders: Sequence[str]) -> None:
    from recode_eval.commands import lift
    from recode_eval.comparison.lift import lifts
    from recode_eval.run.results_file import load_every_run

    found = lifts(load_every_run(map(Path, folders)), strict=False)
    if found:
        lift.show(found)


def exit_code(results: Sequence[Mapping[str, Any]]) -> ExitCode:
    """Return `INCOMPLETE` if a sample is unscored, `DATA` if a task has no problem that works."""
    counts = [result["counts"] for result in results]
    if any(count["unscored"] for count in counts):
        return ExitCode.INCOMPLETE
    return ExitCode.OK if all(count["scored"] for count in counts) else ExitCode.DATA
