"""`recode-eval items RUNS...`: which problems are worth a look, over many models."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode
from recode_eval.tables import print_table

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from recode_eval.comparison.items import Screening

SCHEMA_VERSION = 1


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "runs",
        type=options.path,
        nargs="+",
        metavar="RUN",
        help="stored runs of several models on one task: folders, results.json, packs, logs of "
        "inspect_ai or lm-eval, or a folder with several; runs of one model that differ in the "
        "seed only are its repeats",
    )
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Show the problems with a flag; `--json` has all."""
    from recode_eval.comparison.items import screen, to_json
    from recode_eval.run.results_file import load_every_run
    from recode_eval.terminal import stdout_console

    found = screen(load_every_run(arguments.runs))
    if arguments.json:
        content = {"schema_version": SCHEMA_VERSION, "tasks": [to_json(item) for item in found]}
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for one in found:
            _show(stdout_console(), one)
    return ExitCode.OK


def _show(console: Console, found: Screening) -> None:
    from recode_eval.terminal import one_line

    console.print(f"{one_line(found.task, 60)}: {found.sentence}", soft_wrap=True)
    if not found.flagged:
        return
    rows = []
    for item in sorted(found.flagged, key=lambda item: [str(flag) for flag in item.flags]):
        correlation = "-" if item.correlation is None else f"{item.correlation:+.2f}"
        solved = f"{item.passed} of {item.samples}"
        why = "; ".join(item.flags)
        rows.append([one_line(item.id, 100), solved, str(item.models), correlation, why])
    headings = ("problem", "solved", "models", "correlation", "why")
    print_table(console, headings, rows, left=(0, 4), optional=("models", "correlation"))
