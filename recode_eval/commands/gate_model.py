"""`recode-eval gate --model`: the gate samples the candidate, with the baseline's settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from recode_eval.commands import configs, options

if TYPE_CHECKING:
    from recode_eval.gating.candidate import Candidate

SETTLED = (
    "--n", "--temperature", "--top-p", "--max-tokens", "--stop", "--seed", "--k",
    "--no-update-note", "--limit", "--problems", "--isolation", "--timeout", "--memory",
)  # fmt: skip
"""Options of a run that the baseline decides."""


class _Settled(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, _namespace: Any, _values: Any, option: Any = None
    ) -> NoReturn:
        parser.error(f"{option}: the baseline sets this for the candidate too; leave it out")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the gate needs to sample a candidate."""
    options.add_model_options(parser, required=False)
    group = parser.add_argument_group(
        "sampling the candidate (with --model; all other settings are the baseline's)"
    )
    group.add_argument(
        "-t",
        "--tasks",
        type=options.names,
        metavar="NAME[,NAME]",
        help="tasks to gate on (default: the policy's, else all tasks of the baseline)",
    )
    group.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="read a task's rows from this file; they must be the baseline's rows",
    )
    options.add_include_path(group)
    group.add_argument(
        "--skip-bad-rows", action="store_true", help="leave out malformed rows as the baseline did"
    )
    group.add_argument(
        "--prompt",
        type=options.path,
        metavar="FILE.jinja2",
        help="the baseline's template, if it is not a prompt of the task",
    )
    group.add_argument(
        "--runs",
        type=options.path,
        default=Path("runs"),
        metavar="FOLDER",
        help="store the candidate's run here; the same command continues it (default: runs)",
    )
    group.add_argument(
        "--full",
        action="store_true",
        help="draw as many samples as the baseline has, and look once",
    )
    group.add_argument(
        "--baseline-model",
        metavar="MODEL",
        help="the baseline's model, to sample its part of a rerun; loaded like --model",
    )
    options.add_where_options(parser)
    for name in SETTLED:
        parser.add_argument(name, nargs="?", action=_Settled, help=argparse.SUPPRESS)


def candidate(arguments: argparse.Namespace) -> Candidate:
    """Return the candidate that the options describe; raises `UsageError`."""
    from recode_eval.gating.candidate import Candidate

    return Candidate(
        model=arguments.model,
        backend=arguments.backend,
        model_options=configs.model_options(arguments),
        tasks=arguments.tasks or (),
        data=configs.data_sources(arguments.data),
        include_path=arguments.include_path,
        skip_bad_rows=arguments.skip_bad_rows,
        prompt_file=arguments.prompt,
        out=arguments.runs,
        full=arguments.full,
        baseline_model=arguments.baseline_model,
        sandbox=configs.sandbox_options(arguments),
    )
