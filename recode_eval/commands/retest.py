"""`recode-eval retest RUN RUN...`: how far the figures of one model move from run to run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode
from recode_eval.tables import print_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from rich.console import Console

    from recode_eval.comparison.retest import Retest

SCHEMA_VERSION = 1


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "runs",
        type=options.path,
        nargs="+",
        metavar="RUN",
        help="runs of one model that differ in --seed or --prompt: folders, results.json, packs, "
        "logs of inspect_ai or lm-eval, or a folder with several; `recode-eval --repeats R` makes "
        "them",
    )
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Show a table per model and task."""
    from recode_eval.comparison.retest import retests, to_json
    from recode_eval.run.results_file import load_every_run
    from recode_eval.terminal import stdout_console

    found = retests(load_every_run(arguments.runs))
    if arguments.json:
        content = {"schema_version": SCHEMA_VERSION, "retests": [to_json(item) for item in found]}
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(stdout_console(), found)
    return ExitCode.OK


def show(console: Console, found: Sequence[Retest]) -> None:
    """Print a sentence and a table for each."""
    from recode_eval.metrics import label, metric, unit_note
    from recode_eval.terminal import one_line

    for item in found:
        first = item.runs[0]
        console.print(
            f"In percent ({unit_note()}): "
            f"{item.sentence(one_line(first.model, 60), one_line(first.task, 60))}",
            soft_wrap=True,
        )
        headings = (
            "metric", "mean of runs", "SD between runs", "SD of sampling", "problems", "runs",
        )  # fmt: skip
        rows = []
        for spread in item.spreads:
            shown = metric(spread.metric)
            mean = f"{shown.show(spread.mean)} {shown.show_interval(spread.low, spread.high)}"
            sampling = "-" if spread.sampling is None else shown.show(spread.sampling)
            values = ", ".join(map(shown.show, spread.values))
            rows.append(
                [one_line(label(spread.metric), 60), mean.rstrip(), shown.show(spread.deviation),
                 sampling, str(spread.problems), values]
            )  # fmt: skip
        print_table(console, headings, rows, optional=("problems", "runs"))
