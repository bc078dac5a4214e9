"""`recode-eval export`: stored runs in the format of another program."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError
from recode_eval.exports import FORMATS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from recode_eval.exports.common import Document


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "runs",
        type=options.path,
        nargs="+",
        metavar="RUN",
        help=options.RUN,
    )
    parser.add_argument(
        "--format",
        required=True,
        metavar="FORMAT",
        help=f"what to write (docs/exports.md): {', '.join(FORMATS.builtin)}, or the name of "
        "another package's format",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        metavar="FOLDER",
        help="write the files below this folder, under the format's names (default: print)",
    )
    parser.add_argument(
        "--metrics",
        type=options.names,
        default=[],
        metavar="METRIC[,METRIC]",
        help="export only these metrics, in this order (default: all that have a value)",
    )
    parser.add_argument(
        "--model-name", default="", metavar="NAME", help="the model's public name: org/model"
    )
    parser.add_argument(
        "--table",
        choices=("metrics", "problems", "samples"),
        default="problems",
        help="csv: what each row describes (default: problems)",
    )
    _add_facts(parser)
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def _add_facts(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("facts that a run does not record")
    group.add_argument(
        "--dataset-id",
        default="",
        metavar="OWNER/NAME",
        help="data set on the hub (default: the one from which the rows were loaded)",
    )
    group.add_argument(
        "--task-id",
        default="",
        metavar="NAME",
        help="eval-results: task within that data set (default: the run's task)",
    )
    group.add_argument("--percent", action="store_true", help="eval-results: 62.5 instead of 0.625")
    group.add_argument("--source-url", default="", metavar="URL", help="page with the results")
    group.add_argument("--source-name", default="", metavar="NAME", help="name of that page")
    group.add_argument(
        "--organization", default="", metavar="NAME", help="every-eval-ever: who evaluated"
    )
    group.add_argument(
        "--relationship",
        choices=("first_party", "third_party", "collaborative", "other"),
        default="other",
        help="every-eval-ever: the evaluator's relationship to the model's makers (default: other)",
    )


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Read the runs, write the files or print the only one."""
    from recode_eval.exports import documents
    from recode_eval.exports.common import About
    from recode_eval.run.results_file import load_runs
    from recode_eval.terminal import one_line

    about = About(
        model=arguments.model_name,
        metrics=tuple(arguments.metrics),
        table=arguments.table,
        dataset_id=one_line(arguments.dataset_id),
        task_id=one_line(arguments.task_id),
        percent=arguments.percent,
        source_url=one_line(arguments.source_url, 2_000),
        source_name=one_line(arguments.source_name),
        organization=one_line(arguments.organization),
        relationship=arguments.relationship,
    )
    runs = [run for place in arguments.runs for run in load_runs([place])]
    found = documents(arguments.format, runs, about)
    if arguments.out is not None:
        _write(found, arguments.out)
    elif len(found) > 1:
        raise UsageError(f"These are {len(found)} files: name a folder for them with --out.")
    else:
        sys.stdout.write(found[0].text)
    return ExitCode.OK


def _write(found: Sequence[Document], out: Path) -> None:
    from recode_eval.run.store import make_folder, write_text
    from recode_eval.terminal import printable

    for document in found:
        path = out / PurePosixPath(document.path)
        make_folder(path.parent)
        write_text(path, document.text)
        print(printable(path))
