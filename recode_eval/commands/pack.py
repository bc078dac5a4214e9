"""`recode-eval pack`: a run as one file to send, and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "run", type=options.path, nargs="?", metavar="RUN", help="folder of the run to pack"
    )
    parser.add_argument(
        "--extract", type=options.path, metavar="FILE", help="verify a pack and unpack it"
    )
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        metavar="PATH",
        help="new file (default: MODEL-TASK-HASH.tar.zst here); with --extract, a new or empty "
        "folder",
    )
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Pack or unpack, and say where."""
    from recode_eval.run.archive import SUFFIX, pack, unpack
    from recode_eval.terminal import printable

    if (arguments.run is None) == (arguments.extract is None):
        raise UsageError(
            "Name a run to pack, or a pack to unpack: recode-eval pack RUN, or "
            "recode-eval pack --extract FILE --out FOLDER"
        )
    out: Path | None = arguments.out
    if arguments.run is not None:
        if out is None:
            folder = arguments.run.resolve()
            out = options.path(f"{folder.parent.name}-{folder.name}{SUFFIX}")
        elif not out.name.endswith(SUFFIX):
            raise UsageError(f"--out {out}: a pack's name must end in {SUFFIX}.")
        pack(arguments.run, out)
        _warn(arguments.run)
    elif out is None:
        raise UsageError("--extract needs --out FOLDER.")
    else:
        unpack(arguments.extract, out)
    print(printable(out))
    return ExitCode.OK


def _warn(run: Path) -> None:
    from recode_eval.run.results_file import read_run
    from recode_eval.run.store import RESULTS

    counts = read_run(run / RESULTS).results["counts"]
    if counts["unscored"]:
        print(
            f"{counts['unscored']} of the {counts['samples']} samples in the pack are unscored; "
            "the run's own command tries them again.",
            file=sys.stderr,
        )
