"""`recode-eval leaderboard`: a static site from the runs of a folder, and a look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.commands import configs, leaderboard_keep, leaderboard_submit, options
from recode_eval.errors import ExitCode, RecodeError

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager

    from recode_eval.leaderboard.site import Built
    from recode_eval.leaderboard.verify import Checked
    from recode_eval.run.progress import Monitor

_LOOK_EVERY_S = 2.0


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="write the site",
        description="Write a site with every run below the given folders. It needs no server: open "
        "its index.html. The command names and leaves out each run whose files disagree, and "
        "each copy of another one (exit code 65).",
    )
    _add_site_options(build)
    serve = actions.add_parser(
        "serve",
        help="write the site, serve it on this machine, and rebuild it when runs change",
        description="Write the site as build does and serve it over HTTP. Rebuild it when an input "
        "has changed and then stays unchanged for some seconds; if that fails, keep the earlier "
        "site. Ctrl-C ends the server (exit code 0).",
    )
    _add_site_options(serve)
    serve.add_argument(
        "--port",
        type=options.natural,
        default=8000,
        metavar="N",
        help="port (default: 8000); 0 takes a free one",
    )
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, this machine only); there is no password",
    )
    check = actions.add_parser(
        "check",
        help="verify a submitted run, and grade a part of it again",
        description="Verify a pack (or a run's folder): its files, hashes, figures and prompts. "
        "Grade a random part of its answers again in a local sandbox. Exit code 0: sound; 1: "
        "something differs; 65: damaged; 75: some samples could not be graded here. The check does "
        "not show who made the run, or that the model named in it wrote the answers.",
    )
    check.add_argument("file", type=options.path, metavar="PACK", help="a pack, or a run's folder")
    check.add_argument(
        "--share",
        type=options.portion,
        default=0.1,
        metavar="SHARE",
        help="share of the samples to grade again, 0 to 1 (default: 0.1, but at least 20 samples)",
    )
    check.add_argument(
        "--seed", type=int, metavar="N", help="seed of the draw (default: a new one every time)"
    )
    leaderboard_submit.add_rows(check)
    options.add_where_options(check)
    options.add_output_options(check)
    leaderboard_submit.add_parsers(actions)
    leaderboard_keep.add_parsers(actions)


def _add_site_options(parser: argparse.ArgumentParser) -> None:
    """Add what a site is made of."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=options.path,
        metavar="RUNS",
        help="a folder of runs, packs, or logs of inspect_ai or lm-eval; or one pack or log",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        default=Path("site"),
        metavar="SITE",
        help="write the site here and replace an earlier one (default: site)",
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="a task's rows, to show prompts and references; bundled tasks need none",
    )
    options.add_include_path(parser)
    parser.add_argument(
        "--models",
        action="append",
        type=options.path,
        default=[],
        metavar="FILE.yaml",
        help="facts about models: base, method, size, release date (docs/leaderboard.md)",
    )
    parser.add_argument(
        "--anew",
        action="store_true",
        help="use nothing of earlier builds: read every run and make every file again",
    )
    parser.add_argument(
        "--no-reported", action="store_true", help="leave out results reported by papers"
    )
    parser.add_argument(
        "--gate",
        action="append",
        type=options.path,
        default=[],
        metavar="VERDICT",
        help="verdict.json of the gate, or a folder of them: the first page shows the newest, and "
        "gate.html all",
    )
    parser.add_argument(
        "--training",
        action="append",
        type=options.path,
        default=[],
        metavar="DIR",
        help="folder with logs of recode-train, for training.html; build finds those below RUNS "
        "itself",
    )
    parser.add_argument(
        "--snapshots",
        action="append",
        type=options.path,
        default=[],
        metavar="FOLDER",
        help="folder with snapshots of earlier days (leaderboard snapshot), to list and to keep at "
        "their addresses",
    )
    parser.add_argument(
        "--indexed",
        action="store_true",
        help="let search engines list the site (default: they are asked not to)",
    )
    parser.add_argument(
        "--jobs",
        type=options.positive,
        metavar="N",
        help="processes for large sites (default: one per CPU); the site is the same",
    )
    parser.add_argument("--quiet", action="store_true", help="no notes")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Build, print the first page's path; exit code 65 if a run was left out. Or serve it."""
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import printable

    if arguments.action in leaderboard_keep.ACTIONS:
        return leaderboard_keep.execute(arguments)
    if arguments.action in leaderboard_submit.ACTIONS:
        return leaderboard_submit.execute(arguments)
    monitor = create_monitor(quiet=arguments.quiet)
    if arguments.action == "serve":
        return _serve(arguments, monitor)
    if arguments.action == "check":
        return _check(arguments, monitor)
    built = _build(arguments, monitor)
    name_left_out(built)
    print(printable(built.index.absolute()))
    faulty = any(not item.unfinished for item in built.broken)
    return ExitCode.DATA if faulty else ExitCode.OK


def _build(
    arguments: argparse.Namespace,
    monitor: Monitor,
    exchange: AbstractContextManager[object] | None = None,
) -> Built:
    from recode_eval.leaderboard.site import build

    return build(
        arguments.runs,
        arguments.out,
        data=configs.data_sources(arguments.data),
        include_paths=arguments.include_path,
        models=arguments.models,
        reported=not arguments.no_reported,
        gates=arguments.gate,
        jobs=arguments.jobs,
        indexed=arguments.indexed,
        cache=None if arguments.anew else _cache(),
        reuse=not arguments.anew,
        trainings=arguments.training,
        snapshots=arguments.snapshots,
        exchange=exchange,
        note=monitor.log,
    )


def _cache() -> Path | None:
    """Return the folder for what builds keep, or None where it cannot be made."""
    from recode_eval.errors import InfrastructureError
    from recode_eval.sandbox.buildlog import cache_dir

    try:
        return cache_dir("leaderboard")
    except InfrastructureError:
        return None


def _check(arguments: argparse.Namespace, monitor: Monitor) -> ExitCode:
    """Check one run, and print what was found."""
    import json
    import secrets
    import sys
    import tempfile

    from recode_eval.leaderboard.sources import Sources
    from recode_eval.leaderboard.verify import check, unpacked
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.tasks.registry import create_task
    from recode_eval.terminal import stdout_for_results

    seed = secrets.randbelow(1 << 31) if arguments.seed is None else arguments.seed
    monitor.log(f"To draw the same samples again: --seed {seed}")
    with (
        stdout_for_results(),
        tempfile.TemporaryDirectory() as folder,
        Sandboxes(configs.sandbox_options(arguments), monitor.log) as sandboxes,
    ):
        found = check(
            unpacked(arguments.file, Path(folder)),
            arguments.file.name,
            Sources(configs.data_sources(arguments.data), arguments.include_path),
            lambda name: create_task(name, arguments.include_path),
            lambda task, isolation: sandboxes.opener(task, isolation)(),
            share=arguments.share,
            seed=seed,
            note=monitor.log,
        )
    if arguments.json:
        json.dump({"seed": seed, **found.as_json()}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show_check(found)
    if not found.sound:
        return ExitCode.CHECK_FAILED
    return ExitCode.INCOMPLETE if found.ungraded else ExitCode.OK


def _show_check(found: Checked) -> None:
    from recode_eval.terminal import one_line, stdout_console

    console = stdout_console()

    def say(text: str) -> None:
        console.print(one_line(text), soft_wrap=True, markup=False, highlight=False)

    say(f"{found.model} on {found.task}: {found.drawn} of {found.samples} samples graded again")
    for name in found.figures:
        say(f"figure: {name} does not match the counts of the problems")
    for name in found.wrong_prompts:
        say(f"prompt: {name} used another prompt than the run names")
    if found.prompts:
        say(f"prompts not checked: {found.prompts}")
    for item in found.deviations:
        say(f"{item.what}: {item.problem_id}, sample {item.sample}: {item.detail}")
    for text in found.ungraded:
        say(f"not graded here: {text}")
    say("sound" if found.sound else "NOT sound")


def _serve(arguments: argparse.Namespace, monitor: Monitor) -> ExitCode:
    """Serve the site until interrupted, which is how it ends."""
    import threading
    import time

    from recode_eval.leaderboard.serving import Changes, Server
    from recode_eval.run.progress import WARNING
    from recode_eval.terminal import one_line, printable, stderr_console

    with Server(arguments.out, arguments.host, arguments.port) as server:
        changes = Changes(_sources(arguments), arguments.out)
        name_left_out(_build(arguments, monitor, server.exchange))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            print(printable(server.url), flush=True)
            if not server.is_private:
                monitor.log(f"{WARNING}everybody who reaches this machine can read the site.")
            while True:
                time.sleep(_LOOK_EVERY_S)
                if not changes.due():
                    continue
                try:
                    name_left_out(_build(arguments, monitor, server.exchange))
                except (RecodeError, OSError) as error:  # A file may go while it is read.
                    stderr_console().print(
                        f"not written again: {one_line(str(error))}", style="yellow", soft_wrap=True
                    )
        except KeyboardInterrupt:
            return ExitCode.OK
        finally:
            server.shutdown()


def _sources(arguments: argparse.Namespace) -> list[Path]:
    """Return the files and folders that the site is made of."""
    from recode_eval.leaderboard.places import places

    rows = [Path(source) for source in configs.data_sources(arguments.data).values()]
    return [
        *arguments.runs,
        *places(arguments.runs).trainings,
        *rows,
        *arguments.include_path,
        *arguments.models,
        *arguments.gate,
        *arguments.training,
        *arguments.snapshots,
    ]


def name_left_out(built: Built) -> None:
    """Say on standard error which runs are not on the site, and why."""
    from recode_eval.terminal import one_line, stderr_console

    for broken in built.broken:
        text = one_line(broken.told or f"{broken.where}: {broken.reason}")
        stderr_console().print(
            f"left out: {text}",
            style="yellow",
            soft_wrap=True,
        )
