"""`recode-eval library`: what the maintainers of a library start from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from recode_eval.commands import configs, options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser(
        "init",
        help="make a folder that evaluates whether models know an update",
        description="Mine two releases of a library and make a folder with locks, candidates, a "
        "first pair, prompts without and with AGENTS.md, a workflow, and a README with the three "
        "commands that answer: do models still write the old API, and does AGENTS.md help?",
    )
    init.add_argument("library", metavar="NAME", help="the library's name on PyPI")
    init.add_argument("--old", required=True, metavar="VERSION", help="the older release")
    init.add_argument("--new", required=True, metavar="VERSION", help="the newer release")
    options.add_companions(init)
    init.add_argument(
        "--agents",
        type=options.path,
        metavar="FILE",
        help="your AGENTS.md, llms.txt or SKILL.md (default: a draft from what was mined)",
    )
    init.add_argument(
        "-o", "--out", type=options.path, metavar="DIR", help="the folder (default: NAME-update)"
    )
    options.add_where_options(init)
    options.add_output_options(init)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Mine and write the folder."""
    import tempfile
    from pathlib import Path

    from recode_eval.mining.kit.folder import check_agents, check_folder, write_kit
    from recode_eval.mining.pipeline import MineConfig, mine
    from recode_eval.run.progress import create_monitor
    from recode_eval.sandbox.factory import open_router
    from recode_eval.terminal import one_line, stdout_console, stdout_for_results

    folder: Path = arguments.out or Path(f"{arguments.library}-update")
    if arguments.library.startswith("npm:"):
        raise UsageError(
            "`library init` is for libraries of PyPI: nothing of npm is executed yet, so no pair "
            "could be proven. `recode-eval mine` compares two releases of a package of npm."
        )
    check_folder(folder)
    check_agents(arguments.agents)
    monitor = create_monitor(quiet=arguments.quiet)
    where = configs.sandbox_options(arguments)
    with stdout_for_results(), tempfile.TemporaryDirectory() as scratch:
        config = MineConfig(
            library=arguments.library,
            old=arguments.old,
            new=arguments.new,
            companions=tuple(arguments.companions),
            out=Path(scratch) / "mined",
            sandbox=where,
        )
        mined = mine(config, monitor)
        with open_router(**where.arguments, log=monitor.log) as sandbox:
            kit = write_kit(folder, mined, sandbox, arguments.agents)
    if arguments.json:
        content = {
            "folder": str(kit.folder),
            "task": kit.task,
            "candidates": kit.candidates,
            "example": kit.example,
        }
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return ExitCode.OK
    console = stdout_console()
    console.print(f"{kit.candidates} candidates; the task is {one_line(kit.task)}.", soft_wrap=True)
    if kit.example is None:
        console.print("No pair could be made by rule; a sketch lies in task/.", soft_wrap=True)
    console.print(f"Begin with {one_line(kit.folder / 'README.md')}", soft_wrap=True)
    return ExitCode.OK
