"""`recode-eval sandbox`: build what programs run in, attack it, show its disk use, remove it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from recode_eval.commands.options import path
from recode_eval.errors import ExitCode
from recode_eval.sandbox.base import ISOLATIONS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from recode_eval.sandbox.environments import DiskUse


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="build the Docker image or the virtual environment that programs run in",
        description="Build an environment in advance; a run builds missing ones itself. Without "
        "access to a registry, make a base image first: sandbox/base-image.",
    )
    build.add_argument(
        "--environment",
        default="mini",
        help="mini (default), arena, node, or a release: pandas-2.2.3, npm-zod-4.1.0",
    )
    build.add_argument(
        "--kind",
        choices=("image", "venv"),
        default="image",
        help="image for the tier docker (default), venv (or npm's folder) for the others",
    )
    build.add_argument("--base-image", metavar="IMAGE", help="image to build on")
    test = actions.add_parser(
        "test",
        help="attack the sandbox to test whether it holds",
        description="Run the attacks (small programs in sandbox/attacks) in each tier, and after "
        "each attack an honest program that must find a clean environment. This takes some "
        "minutes per tier. The attacks are harmless if the sandbox holds, and bounded if it does "
        "not.",
    )
    test.add_argument(
        "--sandbox",
        choices=("all", "docker", "bubblewrap", "landlock"),
        default="all",
        help="tier to attack (default: all that work on this machine)",
    )
    test.add_argument(
        "--attacks",
        action="append",
        default=[],
        metavar="PATTERN",
        help="run only these attacks: a class (forge), a name (forge/always_equal) or a pattern "
        "('*/memory_*')",
    )
    test.add_argument(
        "--folder",
        type=path,
        metavar="DIR",
        help="attacks of your own instead of the bundled ones (sandbox/attacks/README.md says how "
        "to write one)",
    )
    test.add_argument(
        "--language",
        action="append",
        default=[],
        metavar="NAME",
        help="run only attacks in this language: python, javascript, typescript or rust (default: "
        "all whose runtime is there)",
    )
    test.add_argument(
        "--list", action="store_true", help="show the attacks and what each one tries; run none"
    )
    test.add_argument(
        "--isolation",
        choices=ISOLATIONS,
        default="program",
        help="one process for a program and its tests (default), one for each test, or one for the "
        "program and another for its tests (split)",
    )
    test.add_argument(
        "--environment", default="mini", help="of the attacks in Python: mini (default) or arena"
    )
    test.add_argument("--base-image", metavar="IMAGE", help="image to build on (docker)")
    lock = actions.add_parser(
        "lock",
        help="pin a library's release and its dependencies, for programs to run with",
        description="Write the lock file of the environment LIBRARY-VERSION, resolved from wheels "
        "for CPython 3.11, or of npm-NAME-VERSION, resolved by npm. The sandbox builds the "
        "environment when a program first needs it.",
    )
    lock.add_argument(
        "release",
        metavar="RELEASE",
        help="LIBRARY==VERSION, for example pandas==2.2.3, or npm:NAME@VERSION, for example "
        "npm:zod@4.1.0",
    )
    lock.add_argument(
        "requirements",
        nargs="*",
        metavar="REQUIREMENT",
        help="further requirements or bounds on dependencies, such as 'numpy<2'; with npm, further "
        "releases",
    )
    lock.add_argument(
        "-o",
        "--out",
        type=path,
        metavar="FOLDER",
        help="write the lock file here (default: this machine's cache; for the bundled pairs: "
        "sandbox/envs)",
    )
    lock.add_argument(
        "--exclude-newer", metavar="DATE", help="ignore releases after this day: 2023-05-31"
    )
    lock.add_argument(
        "--python",
        metavar="3.N",
        help="the Python that programs with this release run on, 3.7 to 3.14 (default: 3.11)",
    )
    disk = actions.add_parser("list", help="list built environments and their disk use")
    prune = actions.add_parser(
        "prune",
        help="remove outdated environments",
        description="Remove outdated virtual environments from this cache and outdated Docker "
        "images from the whole machine, including those that another checkout or another user of "
        "the Docker daemon built; `--dry-run` lists them. Runs rebuild what they need. Do not "
        "prune while an evaluation runs.",
    )
    what = prune.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="remove all environments")
    what.add_argument(
        "--releases",
        action="store_true",
        help="also remove the environments of single releases (pandas-2.2.3, ...); runs rebuild "
        "them when needed",
    )
    prune.add_argument(
        "--dry-run", action="store_true", help="list what would be removed, and remove nothing"
    )
    for action in (build, test, lock, disk, prune):
        action.add_argument("--json", action="store_true", help="print JSON")
        action.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Carry out the action."""
    from recode_eval.sandbox import environments

    if arguments.action == "build":
        _build(arguments)
    elif arguments.action == "lock":
        _lock(arguments)
    elif arguments.action == "test":
        return _test(arguments)
    elif arguments.action == "list":
        _show(environments.environment_disk_use(), arguments, "built")
    else:
        choice = {"everything": arguments.all, "releases": arguments.releases}
        if arguments.dry_run:
            _show(environments.prunable(**choice), arguments, "to be removed")
        else:
            _show(environments.prune(**choice), arguments, "removed")
    return ExitCode.OK


def _build(arguments: argparse.Namespace) -> None:
    from recode_eval.run.progress import create_monitor
    from recode_eval.sandbox import environments
    from recode_eval.terminal import stdout_console

    environment = environments.get_environment(arguments.environment)
    log = create_monitor(quiet=arguments.json).log
    built: environments.ImageInfo | environments.VenvInfo | environments.NpmInfo
    if arguments.kind == "image":
        built = environments.ensure_image(environment, base_image=arguments.base_image, log=log)
    elif environment.npm is not None:
        built = environments.ensure_npm(environment, log=log)
    else:
        built = environments.ensure_venv(environment, log=log)
    plain = (str, int, dict, type(None))
    fields = asdict(built)
    if isinstance(built, environments.NpmInfo):
        fields["node"], fields["version"] = built.node.node, built.node.version
    content = {k: value if isinstance(value, plain) else str(value) for k, value in fields.items()}
    if arguments.json:
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = stdout_console()
    for key, value in content.items():
        console.print(f"{key}: {value}", soft_wrap=True)


def _lock(arguments: argparse.Namespace) -> None:
    from recode_eval.sandbox.locks import lock_release
    from recode_eval.sandbox.npm_locks import is_npm, lock_npm
    from recode_eval.sandbox.requirements import RELEASE_PYTHON, parse_python
    from recode_eval.terminal import stdout_console

    folder, day = arguments.out, arguments.exclude_newer
    if is_npm(arguments.release):
        releases = [arguments.release, *arguments.requirements]
        file = lock_npm(releases, folder=folder, before=day)
    else:
        file = lock_release(
            arguments.release,
            arguments.requirements,
            folder=folder,
            exclude_newer=day,
            python=parse_python(arguments.python) if arguments.python else RELEASE_PYTHON,
        )
    pins = file.read_text(encoding="utf-8")
    if arguments.json:
        json.dump({"name": file.stem, "path": str(file), "lock": pins}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = stdout_console()
    console.print(pins.rstrip(), soft_wrap=True)
    console.print(f"Written to {file}", style="green", soft_wrap=True)


def _test(arguments: argparse.Namespace) -> ExitCode:
    """Exit code 1 if an attack succeeded or something was left; 69 if nothing could be tested."""
    from recode_eval.attacks import TierOutcome, attack_tier, load_attacks
    from recode_eval.attacks.report import as_json, described, print_attacks, print_outcomes
    from recode_eval.errors import InfrastructureError
    from recode_eval.run.progress import counting, create_monitor
    from recode_eval.sandbox.factory import TIERS
    from recode_eval.terminal import stdout_console

    attacks = load_attacks(arguments.attacks, arguments.folder, languages=arguments.language)
    if arguments.list:
        if arguments.json:
            json.dump([described(attack) for attack in attacks], sys.stdout, indent=2)
            sys.stdout.write("\n")
        else:
            print_attacks(stdout_console(), attacks)
        return ExitCode.OK
    log = create_monitor(quiet=arguments.json).log
    outcomes: list[TierOutcome] = []
    for tier in TIERS if arguments.sandbox == "all" else (arguments.sandbox,):
        with counting(f"attacking {tier}", len(attacks), quiet=arguments.json) as advance:
            outcomes.append(
                attack_tier(
                    tier,
                    attacks,
                    environment=arguments.environment,
                    isolation=arguments.isolation,
                    base_image=arguments.base_image,
                    log=log,
                    on_done=_ignoring_result(advance),
                )
            )
    if arguments.json:
        json.dump(as_json(outcomes), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print_outcomes(stdout_console(), outcomes, arguments.isolation)
    if all(outcome.unavailable for outcome in outcomes):
        raise InfrastructureError(
            "no tier could be attacked; recode-eval doctor says what to install"
        )
    failed = any(not outcome.passed for outcome in outcomes if not outcome.unavailable)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK


def _ignoring_result(advance: Callable[[], None]) -> Callable[[object], None]:
    return lambda _result: advance()


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
