"""`recode-eval watch DIR`: gate every checkpoint that a training run writes."""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.gate.decision import Verdict
    from recode_eval.gate.watcher import Reference, Watch

_EPILOG = """A checkpoint counts when it is whole. --model names what adapters were trained on, if
their adapter_config.json does not. With --baseline RUN all settings are the run's; with first, best
and previous they are given here, as for a run.

exit codes: 0 ended; with --once that of the newest checkpoint's verdict: 0 pass, 1 regress,
3 inconclusive, 4 may not be compared; with --stop-on that of the verdict which ended it; others:
recode-eval --help"""
_RULES = ("first", "best", "previous")
_STOPPING = ("regress", "inconclusive", "invalid")


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "folder", type=options.path, metavar="DIR", help="where the training run writes"
    )
    parser.add_argument(
        "--baseline",
        required=True,
        nargs="+",
        metavar="RUN",
        help="stored runs, or one word: first (checkpoint), previous (one), or best (the last that "
        "was certainly better than the best before)",
    )
    parser.add_argument("--policy", type=options.path, metavar="FILE.yaml", help="the gate's")
    parser.add_argument(
        "--pattern", default="checkpoint-*", metavar="GLOB", help="names of checkpoints"
    )
    parser.add_argument(
        "--once", action="store_true", help="gate the checkpoints that are there, and end"
    )
    parser.add_argument(
        "--stop-on",
        type=_verdicts,
        default=frozenset(),
        metavar="VERDICT[,VERDICT]",
        help=f"end at the first such verdict: {', '.join(_STOPPING)}",
    )
    parser.add_argument(
        "--while-stdin",
        action="store_true",
        help="as --once, but not before standard input ends: with the process that holds it",
    )
    parser.add_argument(
        "--interval",
        type=options.positive,
        default=30,
        metavar="SECONDS",
        help="how often to look (default: 30)",
    )
    parser.add_argument(
        "--settle",
        type=options.natural,
        default=30,
        metavar="SECONDS",
        help="how long nothing may have changed in a checkpoint without the file that its trainer "
        "writes last (default: 30)",
    )
    parser.add_argument(
        "--out",
        type=options.path,
        default=Path("watch"),
        metavar="FOLDER",
        help="history.jsonl, runs/ and gate/CHECKPOINT/verdict.json; the same command continues "
        "(default: watch)",
    )
    parser.add_argument(
        "--site", type=options.path, metavar="SITE", help="rebuild the leaderboard here each time"
    )
    _add_evaluation(parser)
    options.add_sampling_options(parser)
    _add_judging(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="no notes")
    group.add_argument("--debug", action="store_true", help="show a traceback on errors")


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    """Add what a gate and a run have in common."""
    options.add_model_options(parser, required=False)
    group = parser.add_argument_group("tasks and data")
    group.add_argument("--tasks", type=options.names, metavar="NAME[,NAME]", help="tasks to use")
    group.add_argument("--data", action="append", default=[], metavar="TASK=FILE", help="rows")
    options.add_include_path(group)
    group.add_argument("--skip-bad-rows", action="store_true", help="leave out malformed rows")
    options.add_where_options(parser)


def _add_judging(parser: argparse.ArgumentParser) -> None:
    """Add what else a run has: which problems, and how they are judged."""
    options.add_selection_options(parser.add_argument_group("problems"))
    options.add_limit_options(parser.add_argument_group("limits"))


def _verdicts(text: str) -> frozenset[Verdict]:
    from recode_eval.gate.decision import Verdict

    for name in options.names(text):
        if name not in _STOPPING:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(_STOPPING)}")
    return frozenset(Verdict(name) for name in options.names(text))


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Watch until told otherwise; see `_EPILOG` for the exit codes."""
    from recode_eval.gate.watcher import Watcher, call_command
    from recode_eval.run.progress import create_monitor

    watch = _watch(arguments)
    monitor = create_monitor(quiet=arguments.quiet)
    watcher = Watcher(watch, monitor.note, call_command)
    with watcher.opened():
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
            monitor.note(f"There is no whole checkpoint in {watch.place}.")
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
    from recode_eval.gate.policy import load_policy
    from recode_eval.gate.watcher import Watch
    from recode_eval.tasks.registry import create_task

    if arguments.adapter is not None:
        raise UsageError("--adapter: the checkpoints are the adapters; name their base as --model.")
    load_policy(arguments.policy)
    options.data_sources(arguments.data, arguments.tasks)
    for name in arguments.tasks or ():
        create_task(name, arguments.include_path)
    reference = _reference(arguments)
    common = _words(arguments, [_add_evaluation], leave_out=("model",))
    own = _words(arguments, [options.add_sampling_options, _add_judging])
    gate = [*common]
    if arguments.policy is not None:
        gate.append(f"--policy={arguments.policy}")
    if isinstance(reference, tuple):
        if own:
            raise UsageError(
                f"{own[0].partition('=')[0]}: with --baseline RUN the candidates are asked as the "
                "baseline was; leave it out."
            )
    elif not arguments.tasks:
        raise UsageError(f"--baseline {reference}: name the --tasks.")
    elif arguments.prompt and Path(arguments.prompt).is_file():
        gate.append(f"--prompt={arguments.prompt}")
    site = None
    if arguments.site is not None:
        data = [f"--data={item}" for item in arguments.data]
        include = [f"--include-path={path}" for path in arguments.include_path]
        site = (f"--out={arguments.site}", *data, *include, "--quiet")
    return Watch(
        place=arguments.folder,
        out=arguments.out,
        reference=reference,
        gate_words=tuple(gate),
        run_words=(*common, *own),
        base=arguments.model,
        pattern=arguments.pattern,
        settle_s=arguments.settle,
        stop_on=arguments.stop_on,
        site_words=site,
    )


def _reference(arguments: argparse.Namespace) -> Reference | tuple[Path, ...]:
    from recode_eval.gate.watcher import Reference
    from recode_eval.run.results_file import load_runs

    named: list[str] = arguments.baseline
    if len(named) == 1 and named[0] in _RULES:
        return Reference(named[0])
    runs = tuple(options.path(text) for text in named)
    stored = load_runs(runs)
    missing = set(arguments.tasks or ()) - {run.task for run in stored}
    if missing:
        raise UsageError(f"--tasks {min(missing)}: the baseline has no run of it.")
    return runs


def _words(
    arguments: argparse.Namespace, adders: Iterable[Any], leave_out: Iterable[str] = ()
) -> list[str]:
    """Return the words that give the options of `adders` the values that they have here."""
    parser = argparse.ArgumentParser(add_help=False)
    for add in adders:
        add(parser)
    words = []
    for action in parser._actions:
        value = getattr(arguments, action.dest)
        if action.dest in leave_out or value == action.default:
            continue
        name = action.option_strings[-1]
        if action.nargs == 0:
            words.append(name)
        elif isinstance(action, argparse._AppendAction):
            words += [f"{name}={item}" for item in value]
        elif isinstance(value, list):
            words.append(f"{name}={','.join(map(str, value))}")
        else:
            words.append(f"{name}={value}")
    return words
