"""`recode-train ALGORITHM`: train a model, or print the plan (--dry-run)."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.commands.ending import Ending
from recode_eval.commands.parsers import completed_by
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from recode_train.config import TrainConfig
    from recode_train.planning import Plan
    from recode_train.trainers import TrainResult

_EPILOG = """what --set takes, with ranges and defaults: recode-train presets --settings

The same command continues an interrupted run."""

FIRST = (
    "--model", "--data", "--preset", "--set", "--out", "--seed", "--limit", "--restart",
    "--dry-run", "--json",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "-m", "--model", metavar="PATH", help="folder, hub id or GGUF file of the model"
    )
    parser.add_argument(
        "--data",
        metavar="NAME|FILE",
        help="migration (the bundled training pairs; default), recode-train-data, "
        "recode-train-data=FILE, a .jsonl or .parquet file, or a task's folder (FOLDER or "
        "FOLDER=FILE)",
    )
    preset = parser.add_argument(
        "--preset", metavar="NAME", help="named settings; `recode-train presets` lists them"
    )
    completed_by(preset, lambda: _presets_of(parser.prog.split()[-1]))
    parser.add_argument(
        "--config",
        metavar="FILE.yaml",
        type=options.path,
        help="file of settings; overrides the preset",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting; overrides preset and file, and may be given many times; "
        "rewards.NAME=WEIGHT sets a single reward",
    )
    parser.add_argument(
        "-o", "--out", metavar="FOLDER", help="folder of the run (default: train-runs/ALGORITHM)"
    )
    parser.add_argument(
        "--seed", type=options.natural, metavar="N", help="seed of the training (default: 0)"
    )
    parser.add_argument(
        "--limit", type=options.positive, metavar="N", help="train on the first N pairs only"
    )
    parser.add_argument(
        "--skip-bad-rows",
        action="store_true",
        default=None,
        help="leave out malformed rows instead of stopping",
    )
    parser.add_argument(
        "--gate",
        metavar="RUN",
        help="gate every checkpoint against this stored run of recode-eval (or first, previous, "
        "best), and stop after a regression (exit code 1); --set gate_options=... has more",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="start over instead of continuing the run in the folder",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan (batches, steps, memory, settings without effect) and stop",
    )
    options.add_output_options(parser)


def _presets_of(algorithm: str) -> Iterable[str]:
    from recode_train.presets import PRESETS

    return [name for name, preset in PRESETS.items() if algorithm in preset.algorithms]


def execute(arguments: argparse.Namespace) -> int:
    """Print the plan, and train unless this is a dry run."""
    from recode_eval.terminal import stdout_for_results
    from recode_train.planning import make_plan
    from recode_train.trainers import require_libraries, train

    config = read_config(arguments)
    if arguments.dry_run:
        show_plan(make_plan(config), sys.stdout, as_json=arguments.json)
        return ExitCode.OK
    require_libraries()
    plan = make_plan(config)
    first = os.environ.get("RANK", "0") == "0"
    ending = Ending(quiet=arguments.quiet or not first)
    if first and not arguments.quiet:
        show_plan(plan, sys.stderr, as_json=False)
    with stdout_for_results():
        result = train(config, resume=not arguments.restart, progress=not arguments.quiet)
    if first:
        _show_result(result, as_json=arguments.json)
    _say_end(ending, config, result)
    return ExitCode.OK if result.stopped is None else ExitCode.CHECK_FAILED


def read_config(arguments: argparse.Namespace) -> TrainConfig:
    """Return the configuration that the arguments describe."""
    from recode_train.config import TrainConfig

    world = os.environ.get("WORLD_SIZE", "")  # set by `accelerate launch`
    return TrainConfig.from_sources(
        arguments.command,
        preset=arguments.preset,
        file=arguments.config,
        overrides=arguments.set,
        model=arguments.model,
        data=arguments.data,
        output=arguments.out,
        seed=arguments.seed,
        limit=arguments.limit,
        skip_bad_rows=arguments.skip_bad_rows,
        gate=arguments.gate,
        num_processes=int(world) if world.isdigit() and int(world) else None,
    )


def show_plan(plan: Plan, stream: Any, *, as_json: bool) -> None:
    """Print a plan, its notes and its warnings."""
    from recode_eval.terminal import one_line
    from recode_train.planning import describe

    if as_json:
        json.dump(plan.as_dict(), stream, indent=2)
        stream.write("\n")
        return
    notes = [("note", text) for text in plan.notes]
    warnings = [("warning", text) for text in plan.warnings]
    for name, value in [*describe(plan), *notes, *warnings]:
        stream.write(f"{name:<17} {one_line(value)}\n")


def _show_result(result: TrainResult, *, as_json: bool) -> None:
    from recode_eval.terminal import one_line

    if as_json:
        from dataclasses import asdict

        json.dump(asdict(result), sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        if result.stopped is not None:
            print(one_line(f"stopped after step {result.steps}: {result.stopped}"))
        print(one_line(f"done: {result.final}"))


def _say_end(ending: Ending, config: TrainConfig, result: TrainResult) -> None:
    """Say how many steps were made, and what may come next."""
    count = f"{result.steps} of {config.max_steps} steps"
    if result.stopped is not None:
        ending.say(f"Stopped after {count}", well=False)
        return
    again = result.resumed_from == result.steps
    model = shlex.quote(str(result.final))
    ending.say(
        f"{count} were done before" if again else f"{count} are done",
        [f"recode-eval -m {model} -t migration --prompt recode"],
    )
