"""`recode-eval mine`: find what changed between two releases of a library, and prove it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from recode_eval.commands import configs, options
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "library", metavar="LIBRARY", help="its name on PyPI, or npm:NAME for a package of npm"
    )
    parser.add_argument("old", metavar="OLD", help="the older release, e.g. 7.1.2")
    parser.add_argument("new", metavar="NEW", help="the newer release, e.g. 8.1.8")
    parser.add_argument(
        "--with",
        dest="companions",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="resolve both releases with this, too, e.g. --with 'numpy<2' (may be repeated)",
    )
    parser.add_argument(
        "--out",
        type=options.path,
        metavar="DIR",
        help="folder for the results (default: mined/LIBRARY-OLD-NEW)",
    )
    parser.add_argument(
        "--stage-seconds",
        type=options.number(1, 3600),
        default=180.0,
        metavar="SECONDS",
        help="CPU time that one program gets in the sandbox (default: 180)",
    )
    parser.add_argument(
        "--no-notes", action="store_true", help="do not read the library's changelog"
    )
    options.add_where_options(parser)
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Mine, and print the stages; exit code 1 if there is no candidate."""
    from recode_eval.mining.pipeline import CANDIDATES, MineConfig, mine
    from recode_eval.mining.report import as_json, stage_table, summary
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import one_line, stdout_console, stdout_for_results

    config = MineConfig(
        library=arguments.library,
        old=arguments.old,
        new=arguments.new,
        companions=tuple(arguments.companions),
        out=arguments.out,
        sandbox=configs.sandbox_options(arguments),
        notes=not arguments.no_notes,
        stage_seconds=arguments.stage_seconds,
    )
    with stdout_for_results():
        mined = mine(config, create_monitor(quiet=arguments.quiet))
    if arguments.json:
        json.dump(as_json(mined), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        console = stdout_console()
        console.print(stage_table(mined))
        console.print(summary(mined), soft_wrap=True)
        console.print(one_line(mined.folder / CANDIDATES), soft_wrap=True)
    return ExitCode.OK if mined.candidates else ExitCode.CHECK_FAILED
