"""`python -m recode_train.accelerate NAME`: print the path of a configuration for `accelerate`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from recode_eval.boundary import guarded
from recode_eval.errors import ExitCode
from recode_train.accelerate import names, path

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    return guarded("recode_train.accelerate", words, _execute, resumable=False)


def _execute(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recode_train.accelerate", description=__doc__)
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(names())}")
    print(path(parser.parse_args(words).name))
    return ExitCode.OK
