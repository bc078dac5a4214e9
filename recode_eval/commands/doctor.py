"""`recode-eval doctor`: check what this machine can do, and how to get the rest."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Print the findings; exit code 1 if an evaluation cannot work at all."""
    from recode_eval.doctor import Level, diagnose
    from recode_eval.terminal import one_line, stdout_console

    marks = {
        Level.OK: ("ok", "green"),
        Level.OPTIONAL: ("--", "yellow"),
        Level.PROBLEM: ("!!", "bold red"),
    }
    console = stdout_console()
    checks = []
    for check in diagnose():
        checks.append(check)
        if not arguments.json:
            mark, style = marks[check.level]
            console.print(
                f"[{mark}] {check.name}: {one_line(check.found)}", style=style, soft_wrap=True
            )
            if check.fix:
                console.print(f"     {one_line(check.fix)}", soft_wrap=True)
    if arguments.json:
        json.dump([asdict(check) for check in checks], sys.stdout, indent=2)
        sys.stdout.write("\n")
    failed = any(check.level is Level.PROBLEM for check in checks)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK
