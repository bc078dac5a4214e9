"""`recode-eval tasks`: list what can be evaluated."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from recode_eval.tasks.base import TaskSpec


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    options.add_include_path(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Print a row per task."""
    from recode_eval.tasks.registry import find_tasks
    from recode_eval.terminal import one_line, stdout_console

    specs = find_tasks(arguments.include_path).values()
    if arguments.json:
        rows = [
            {
                "name": spec.name,
                "version": spec.version,
                "description": spec.description,
                "language": spec.language,
                "data": _source(spec),
                "environment": spec.environment,
                "prompts": list(spec.prompts),
            }
            for spec in specs
        ]
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return ExitCode.OK
    from recode_eval.tables import print_table

    lines = []
    for spec in specs:
        prompts = ", ".join(spec.prompts)
        cells = (spec.name, spec.language, _source(spec), prompts, spec.description)
        lines.append([one_line(cell) for cell in cells])
    headings = ("task", "language", "data", "prompts", "what it is")
    optional = ("prompts", "language")
    print_table(stdout_console(), headings, lines, left=range(5), optional=optional)
    return ExitCode.OK


def _source(spec: TaskSpec) -> str:
    from recode_eval.tasks.rows import is_bundled

    hub = spec.data.get("hub")
    if isinstance(hub, dict):
        return f"hub: {hub.get('path')}"
    if not spec.data:
        return f"--data {spec.name}=FILE"
    return "bundled" if is_bundled(spec) else str(spec.data.get("folder") or spec.data.get("file"))
