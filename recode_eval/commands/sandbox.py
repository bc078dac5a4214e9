"""`recode-eval sandbox`: build what programs run in, show its disk use, remove it again."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse

    from recode_eval.sandbox.environments import DiskUse


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="build the Docker image (or the virtual environment) that programs run in",
        description="Build an environment before it is needed; runs build missing ones by "
        "themselves. Without a registry, make a base image first: sandbox/base-image.",
    )
    build.add_argument("--environment", default="mini", help="mini (default) or arena")
    build.add_argument(
        "--kind",
        choices=("image", "venv"),
        default="image",
        help="image for the tier docker (default), venv for the others",
    )
    build.add_argument("--base-image", metavar="IMAGE", help="image to build on")
    disk = actions.add_parser("list", help="show what was built and how much space it takes")
    prune = actions.add_parser("prune", help="remove what is out of date")
    prune.add_argument("--all", action="store_true", help="remove everything that was built")
    for action in (build, disk, prune):
        action.add_argument("--json", action="store_true", help="print JSON")
        action.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Carry out the action."""
    from recode_eval.sandbox import environments

    if arguments.action == "build":
        _build(arguments)
    elif arguments.action == "list":
        _show(environments.environment_disk_use(), arguments, "built")
    else:
        _show(environments.prune(everything=arguments.all), arguments, "removed")
    return ExitCode.OK


def _build(arguments: argparse.Namespace) -> None:
    from recode_eval.progress import create_monitor
    from recode_eval.sandbox import environments
    from recode_eval.terminal import stdout_console

    names = environments.environment_names()
    if arguments.environment not in names:
        raise UsageError(f"There is no environment {arguments.environment!r}: {', '.join(names)}.")
    environment = environments.get_environment(arguments.environment)
    notify = create_monitor(quiet=arguments.json).note
    built: environments.ImageInfo | environments.VenvInfo
    if arguments.kind == "image":
        built = environments.ensure_image(
            environment, base_image=arguments.base_image, notify=notify
        )
    else:
        built = environments.ensure_venv(environment, notify=notify)
    plain = (str, int, dict, type(None))
    fields = asdict(built)
    content = {k: value if isinstance(value, plain) else str(value) for k, value in fields.items()}
    if arguments.json:
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = stdout_console()
    for key, value in content.items():
        console.print(f"{key}: {value}", soft_wrap=True)


def _show(uses: list[DiskUse], arguments: argparse.Namespace, word: str) -> None:
    from recode_eval.terminal import one_line, stdout_console

    if arguments.json:
        json.dump([asdict(use) for use in uses], sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = stdout_console()
    for use in uses:
        state = "" if use.current else " (out of date)"
        size = f"{use.size_bytes / 2**20:8.0f} MiB"
        console.print(f"{size}  {use.kind}  {one_line(use.name)}{state}", soft_wrap=True)
    total = sum(use.size_bytes for use in uses) / 2**20
    console.print(f"{len(uses)} {word}, {total:.0f} MiB")
