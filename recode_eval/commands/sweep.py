"""`recode-eval sweep --models LIST|PATTERN --tasks TASKS`: many checkpoints as one job."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from recode_eval.commands import configs, options, run
from recode_eval.errors import ExitCode
from recode_eval.tables import print_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from recode_eval.run.sweep import Outcome

FIRST = (
    "--models", "--tasks", "--n", "--temperature", "--prompt", "--limit", "--base-url", "--sandbox",
    "--out", "--json",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of `run`, with many models instead of one."""
    run.add_options(parser, one_model=False)
    parser.add_argument(
        "-m",
        "--models",
        type=options.names,
        required=True,
        metavar="MODEL[,MODEL]",
        help="checkpoints, hub ids, patterns like 'train-runs/*/checkpoint-*' (quoted), or "
        "@FILE with one per line",
    )


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Evaluate every model on every task, and print one table."""
    from recode_eval.errors import UsageError
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.sweep import find_models
    from recode_eval.run.sweep_job import sweep
    from recode_eval.terminal import stdout_for_results

    if arguments.model:
        raise UsageError("sweep takes --models, not --model.")
    models = find_models(arguments.models)
    config = configs.run_config(arguments, model="", out=arguments.out)
    with stdout_for_results():
        outcomes = sweep(models, config, create_monitor(quiet=arguments.quiet))
    _show(outcomes, arguments)
    return _exit_code(outcomes)


def _show(outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> None:
    if arguments.json:
        content = [
            {
                "model": outcome.model,
                "error": None if outcome.error is None else str(outcome.error),
                "results": outcome.results,
            }
            for outcome in outcomes
        ]
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    from recode_eval.run.report import column_of, main_figure
    from recode_eval.terminal import one_line, stdout_console

    found = [column_of(result) for outcome in outcomes for result in outcome.results]
    columns = list(dict.fromkeys(found)) or list(arguments.tasks)
    rows = []
    for outcome in outcomes:
        cells = {column_of(result): main_figure(result) for result in outcome.results}
        if outcome.error is not None:
            cells = {columns[0]: f"failed: {one_line(str(outcome.error), 200)}"}
        rows.append([one_line(outcome.model, 80), *(cells.get(column, "-") for column in columns)])
    print_table(
        stdout_console(),
        ["model", *columns],
        rows,
        left=range(len(columns) + 1),
        caption="in percent, with 95 % intervals clustered by update",
    )


def _exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """Return `CHECK_FAILED` if a model failed, else as for a single run."""
    if any(outcome.error is not None for outcome in outcomes):
        return ExitCode.CHECK_FAILED
    return run.exit_code([result for outcome in outcomes for result in outcome.results])
