"""The command line of the trainer: arguments to a configuration, a plan, and a run.

Only light modules are imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from recode_eval import __version__
from recode_eval.boundary import guarded
from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_train.config import TrainConfig
    from recode_train.planning import Plan

ALGORITHMS = {
    "sft": "train on the reference answers of the pairs",
    "grpo": "reinforcement learning: Group Relative Policy Optimisation",
    "dapo": "reinforcement learning: GRPO with DAPO's clipping, loss and dynamic sampling",
}
_EPILOG = """exit codes: 0 done; 2 wrong usage; 65 bad data; 69 something needed is not available;
70 a bug of this program; 74 disk trouble; 130 interrupted (the same command continues)

examples:
  recode-train grpo --model ./my-model --data migration --preset paper-grpo --dry-run
  recode-train dapo --model ./my-model --set rewards.em_star=1 --set rewards.es_star=0
  accelerate launch --num_processes 4 -m recode_train.cli grpo --model ./my-model
  recode-train merge train-runs/grpo/final merged-model"""


def create_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog="recode-train",
        description="Train a language model to use changed APIs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"recode-train {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in ALGORITHMS.items():
        _add_training(commands.add_parser(name, help=text, description=f"{name.upper()}: {text}."))
    from recode_train.comparing import command as comparing

    comparing.add_parser(
        commands.add_parser(
            "compare", help=comparing.TEXT, description=f"{comparing.TEXT.capitalize()}."
        )
    )
    text = "make one model of an adapter and its base"
    merge = commands.add_parser("merge", help=text, description=f"{text.capitalize()}.")
    merge.add_argument("adapter", metavar="ADAPTER", help="folder of the LoRA or DoRA adapter")
    merge.add_argument("out", metavar="OUT", type=options.path, help="new folder of the model")
    merge.add_argument("--base", metavar="MODEL", help="the base, if the adapter's own is gone")
    merge.add_argument("--debug", action="store_true", help="show a traceback on errors")
    text = "list the presets and their settings"
    presets = commands.add_parser("presets", help=text, description=f"{text.capitalize()}.")
    presets.add_argument(
        "--settings", action="store_true", help="list every setting, its type and its default"
    )
    presets.add_argument("--json", action="store_true", help="print JSON")
    presets.add_argument("--debug", action="store_true", help="show a traceback on errors")
    return parser


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="PATH", help="folder, hub id or GGUF file of the model")
    parser.add_argument(
        "--data",
        metavar="NAME|FILE",
        help="migration (the bundled training pairs; default), recode-train-data, "
        "recode-train-data=FILE, or a .jsonl or .parquet file",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="settings to begin with; `recode-train presets` lists them"
    )
    parser.add_argument(
        "--config", metavar="FILE.yaml", type=options.path, help="settings, over the preset's"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, over all others; rewards.NAME=WEIGHT for a single reward",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="folder of the run (default: train-runs/ALGORITHM)"
    )
    parser.add_argument("--seed", type=options.natural, metavar="N", help="default: 0")
    parser.add_argument(
        "--limit", type=options.positive, metavar="N", help="only the first N pairs"
    )
    parser.add_argument(
        "--skip-bad-rows",
        action="store_true",
        default=None,
        help="leave out malformed rows instead of stopping at them",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew instead of continuing in the folder"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be done: batches, steps, memory, settings without effect; then stop",
    )
    options.add_output_options(parser)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    words = list(argv)
    return guarded("recode-train", words, _execute, resumable=words[:1] != ["merge"])


def _execute(words: Sequence[str]) -> int:
    from recode_eval.terminal import prepare_streams

    prepare_streams()
    parser = create_parser()
    if not words:
        parser.print_help()
        return ExitCode.USAGE
    try:
        arguments = parser.parse_args(words)
    except SystemExit as end:  # `--help`, or wrong usage
        return int(end.code or 0)
    if arguments.command is None:
        parser.print_help()
        return ExitCode.USAGE
    execute: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "compare": _compare,
        "merge": _merge,
        "presets": _presets,
    }
    code = execute.get(arguments.command, _train)(arguments)
    _leave_the_group()
    return code


def _leave_the_group() -> None:
    """End the process group, if there is one, after success.

    An interpreter that ends with a group's threads still running can abort ("terminate called
    without an active exception", exit code -6), which the launcher reports as a failed training.
    After a failure nothing is ended: the others may be in the middle of a collective operation.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available():
        return
    if distributed.is_initialized():
        distributed.destroy_process_group()


def read_config(arguments: argparse.Namespace) -> TrainConfig:
    """Return the configuration that the arguments of a training command make."""
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
        num_processes=int(world) if world.isdigit() and int(world) else None,
    )


def _train(arguments: argparse.Namespace) -> int:
    from recode_train.planning import make_plan

    config = read_config(arguments)
    if arguments.dry_run:
        _show(make_plan(config), arguments, sys.stdout)
        return ExitCode.OK
    _require_libraries()
    plan = make_plan(config)
    first = os.environ.get("RANK", "0") == "0"
    if first and not arguments.quiet:
        _show(plan, argparse.Namespace(json=False), sys.stderr)
    from recode_eval.terminal import stdout_for_results
    from recode_train.trainers import train

    with stdout_for_results():
        result = train(config, resume=not arguments.restart)
    if first:
        _show_result(result, config, arguments)
    return ExitCode.OK


def _require_libraries() -> None:
    import importlib.util

    missing = [name for name in ("torch", "trl", "peft") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Training needs {', '.join(missing)}: pip install 'recode-eval[train]'. "
            "--dry-run works without."
        )


def _show(plan: Plan, arguments: argparse.Namespace, stream: Any) -> None:
    from recode_eval.terminal import one_line
    from recode_train.planning import describe

    if arguments.json:
        json.dump(plan.as_dict(), stream, indent=2)
        stream.write("\n")
        return
    for name, value in describe(plan):
        stream.write(f"{name:<17} {one_line(value)}\n")
    for note in plan.notes:
        stream.write(f"{'note':<17} {one_line(note)}\n")
    for warning in plan.warnings:
        stream.write(f"{'warning':<17} {one_line(warning)}\n")


def _show_result(result: Any, config: TrainConfig, arguments: argparse.Namespace) -> None:
    from recode_eval.terminal import one_line

    if arguments.json:
        from dataclasses import asdict

        json.dump(asdict(result), sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        print(one_line(f"done: {config.output}/final"))


def _compare(arguments: argparse.Namespace) -> int:
    from recode_train.comparing.command import execute

    if not arguments.dry_run:
        _require_libraries()
    return execute(arguments)


def _merge(arguments: argparse.Namespace) -> int:
    from recode_train.merging import merge

    merge(arguments.adapter, arguments.out, base=arguments.base)
    print(f"merged into {arguments.out}")
    return ExitCode.OK


def _presets(arguments: argparse.Namespace) -> int:
    from recode_eval.terminal import one_line
    from recode_train.config import setting_defaults
    from recode_train.presets import PRESETS

    if arguments.settings:
        rows = setting_defaults()
        if arguments.json:
            print(json.dumps({name: [kind, default] for name, kind, default in rows}, indent=2))
        else:
            for name, kind, default in rows:
                print(f"{name:<30} {kind:<22} {default}")
        return ExitCode.OK
    if arguments.json:
        content = {
            preset.name: {
                "algorithms": list(preset.algorithms),
                "description": preset.description,
                "settings": dict(preset.settings),
            }
            for preset in PRESETS.values()
        }
        print(json.dumps(content, indent=2))
        return ExitCode.OK
    for preset in PRESETS.values():
        print(f"{preset.name} ({', '.join(preset.algorithms)})")
        print(f"  {one_line(preset.description)}")
        for name, value in preset.settings.items():
            print(f"    {name}: {json.dumps(value)}")
    return ExitCode.OK


if __name__ == "__main__":
    main()
