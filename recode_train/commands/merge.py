"""`recode-train merge`: make one model of an adapter and its base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("adapter", metavar="ADAPTER", help="folder of the LoRA or DoRA adapter")
    parser.add_argument(
        "out", metavar="OUT", type=options.path, help="new folder for the merged model"
    )
    parser.add_argument(
        "--base", metavar="MODEL", help="base model (default: the one that the adapter names)"
    )
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> int:
    """Merge, and print the model's folder."""
    from recode_train.merging import merge

    merge(arguments.adapter, arguments.out, base=arguments.base)
    print(f"merged into {arguments.out}")
    return ExitCode.OK
