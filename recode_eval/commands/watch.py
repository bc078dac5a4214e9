"""`recode-eval watch DIR`: gate every checkpoint that a training run writes."""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.commands import configs, options, run_options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from recode_eval.gating.history import Reference
    from recode_eval.gating.rule import Verdict
    from recode_eval.gating.watcher import Watch

_EPILOG = """The watch gates complete checkpoints only. --model names the base of adapters whose
adapter_config.json does not. With --baseline RUN all settings are the run's; with first, best and
previous, give the options of a run.

exit codes: 0 ended; with --once, the newest checkpoint's verdict: 0 pass, 1 regress,
3 inconclusive, 4 cannot be compared; with --stop-on, the verdict that ended the watch; others:
recode-eval --help"""
_RULES = ("first", "best", "previous")
_STOPPING = ("regress", "inconclusive", "invalid")

FIRST = (
    "--baseline", "--tasks", "--model", "--policy", "--once", "--stop-on", "--sandbox", "--out",
    "--site",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "folder", type=options.path, metavar="DIR", help="folder that the training run writes to"
    )
    parser.add_argument(
        "--baseline",
        required=True,
        nargs="+",
        metavar="RUN",
        help="stored runs, or one of: first (the first checkpoint), previous (the one before), "
        "best (the last that was certainly better than the best before it)",
    )
    parser.add_argument(
        "--policy", type=options.path, metavar="FILE.yaml", help="the gate's policy"
    )
    parser.add_argument(
        "--pattern",
        default="checkpoint-*",
        metavar="GLOB",
        help="names of checkpoints (default: checkpoint-*)",
    )
    parser.add_argument("--once", action="store_true", help="gate the existing checkpoints and end")
    parser.add_argument(
        "--stop-on",
        type=_verdicts,
        default=frozenset(),
        metavar="VERDICT[,VERDICT]",
        help=f"end at the first such verdict: any of {', '.join(_STOPPING)}",
    )
    parser.add_argument(
        "--per-checkpoint",
        action="store_true",
        help="judge each checkpoint at the policy's full level; the chance of a false regress then "
        "grows with their number (default: alpha is that of the whole training)",
    )
    parser.add_argument(
        "--while-stdin",
        action="store_true",
        help="run until standard input closes, then finish as --once does",
    )
    parser.add_argument(
        "--interval",
        type=options.positive,
        default=30,
        metavar="SECONDS",
        help="time between two looks (default: 30)",
    )
    parser.add_argument(
        "--settle",
        type=options.natural,
        default=30,
        metavar="SECONDS",
        help="treat a checkpoint that lacks its trainer's last file as complete once it has not "
        "changed for this long (default: 30)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        default=Path("watch"),
        metavar="FOLDER",
        help="folder for history.jsonl, runs/ and gate/CHECKPOINT/verdict.json; the same command "
        "continues (default: watch)",
    )
    parser.add_argument(
        "--site",
        type=options.path,
        metavar="SITE",
        help="rebuild the leaderboard here after each checkpoint",
    )
    _add_evaluation(parser)
    run_options.add_docs_options(parser)
    options.add_sampling_options(parser)
    _add_grading(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="no notes")
    group.add_argument("--debug", action="store_true", help="show a traceback on errors")


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    """Add what a gate and a run have in common."""
    options.add_model_options(parser, required=False)
    group = parser.add_argument_group("tasks and data")
    group.add_argument(
        "-t", "--tasks", type=options.names, metavar="NAME[,NAME]", help="tasks to use"
    )
    group.add_argument(
        "--data", action="append", default=[], metavar="TASK=FILE", help="a task's rows"
    )
    options.add_include_path(group)
    group.add_argument("--skip-bad-rows", action="store_true", help="leave out malformed rows")
    options.add_where_options(parser)


def _add_grading(parser: argparse.ArgumentParser) -> None:
    """Add what else a run has: which problems, and how they are graded."""
    options.add_selection_options(parser.add_argument_group("problems"))
    options.add_limit_options(parser.add_argument_group("limits"))


def _verdicts(text: str) -> frozenset[Verdict]:
    from recode_eval.gating.rule import Verdict

    for name in options.names(text):
        if name not in _STOPPING:
            raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(_STOPPING)}")
    return frozenset(Verdict(name) for name in options.names(text))


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Watch until interrupted or a stopping verdict; see `_EPILOG` for the exit codes."""
    from recode_eval.gating.watcher import Watcher, call_process
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import one_line

    watch = _watch(arguments)
    monitor = create_monitor(quiet=arguments.quiet)
    watcher = Watcher(watch, monitor.log, call_process)
    with watcher.opened():
        before = watcher.newest()
        last = arguments.once
        while True:
            ended = watcher.go_through(last=last)
            if ended is not None:
                return ExitCode(ended["exit_code"])
            if last:
                break
            last = _pause(arguments)
        if watcher.untried is not None:
            return ExitCode(watcher.untried)
        newest = watcher.newest()
        if newest is None:
            monitor.log(f"{watch.place} has no complete checkpoint.")
        elif newest is before:
            name, status = (one_line(str(newest[key]), 100) for key in ("checkpoint", "status"))
            monitor.log(
                f"No new checkpoint; of those gated before, {name} is the newest: {status}."
            )
        return ExitCode.OK if newest is None else ExitCode(newest["exit_code"])


def _pause(arguments: argparse.Namespace) -> bool:
    """Wait until it is time to look again; returns whether it is for the last time."""
    if not arguments.while_stdin:
        time.sleep(arguments.interval)
        return False
    ready, _, _ = select.select([sys.stdin.fileno()], [], [], arguments.interval)
    return bool(ready) and not os.read(sys.stdin.fileno(), 1 << 16)


def _watch(arguments: argparse.Namespace) -> Watch:
    """Check what can be checked before the first checkpoint is there."""
    from recode_eval.gating.candidate import Candidate
    from recode_eval.gating.policy import load_policy
    from recode_eval.gating.watcher import Watch
    from recode_eval.tasks.registry import create_task

    if arguments.adapter is not None:
        raise UsageError(
            "--adapter: the checkpoints are the adapters; leave it out and name their base with "
            "--model."
        )
    place = arguments.folder
    if place.exists() and not place.is_dir():
        raise UsageError(f"{place} is not a folder. Name the one that the trainer writes to.")
    if arguments.once and not place.exists():
        raise UsageError(f"{place} does not exist, and --once does not wait for it.")
    load_policy(arguments.policy)
    configs.data_sources(arguments.data, arguments.tasks)
    for name in arguments.tasks or ():
        create_task(name, arguments.include_path)
    reference = _reference(arguments)
    template = None
    if isinstance(reference, tuple):
        for option in _given_sampling(arguments):
            raise UsageError(
                f"{option}: with --baseline RUN, the baseline sets this for the candidates too; "
                "leave it out."
            )
    elif not arguments.tasks:
        raise UsageError(f"--baseline {reference} needs --tasks.")
    elif arguments.prompt and Path(arguments.prompt).is_file():
        template = Path(arguments.prompt)
    site = None
    if arguments.site is not None:
        site = {
            "out": str(arguments.site),
            "data": configs.data_sources(arguments.data),
            "include_paths": [str(path) for path in arguments.include_path],
        }
    config = configs.run_config(arguments, model="", out=arguments.out, tasks=arguments.tasks or ())
    return Watch(
        place=arguments.folder,
        out=arguments.out,
        reference=reference,
        candidate=Candidate(
            model="",
            backend=config.backend,
            model_options=config.model_options,
            tasks=config.tasks,
            data=config.data,
            include_path=config.include_path,
            skip_bad_rows=config.skip_bad_rows,
            prompt_file=template,
            sandbox=config.sandbox,
        ),
        run=config,
        policy=arguments.policy,
        base=arguments.model,
        pattern=arguments.pattern,
        settle_s=arguments.settle,
        stop_on=arguments.stop_on,
        per_checkpoint=arguments.per_checkpoint,
        site=site,
    )


def _given_sampling(arguments: argparse.Namespace) -> list[str]:
    """Return the options about sampling, problems and limits that differ from their default."""
    plain = argparse.ArgumentParser(add_help=False)
    run_options.add_docs_options(plain)
    options.add_sampling_options(plain)
    _add_grading(plain)
    return [
        f"--{name.replace('_', '-')}"
        for name, default in vars(plain.parse_args([])).items()
        if getattr(arguments, name) != default
    ]


def _reference(arguments: argparse.Namespace) -> Reference | tuple[Path, ...]:
    from recode_eval.gating.history import Reference
    from recode_eval.run.results_file import load_runs

    named: list[str] = arguments.baseline
    if len(named) == 1 and named[0] in _RULES:
        return Reference(named[0])
    runs = tuple(options.path(text) for text in named)
    stored = load_runs(runs)
    missing = set(arguments.tasks or ()) - {run.task for run in stored}
    if missing:
        raise UsageError(f"--tasks {min(missing)}: the baseline has no run of this task.")
    return runs
