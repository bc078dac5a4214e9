"""`recode-train compare`: arguments to a comparison, and what comes of it on the screen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse

    from recode_train.comparing.settings import Comparing

TEXT = "train one model in several ways on the same pairs, and compare what comes of it"


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--model", required=True, metavar="PATH", help="folder or hub id that all arms start from"
    )
    parser.add_argument(
        "--arms",
        type=options.names,
        default=["base", "sft", "grpo", "dapo"],
        metavar="ARM[,ARM]",
        help="of base, sft, grpo, dapo (default: all; base, the untrained model, is always there)",
    )
    parser.add_argument(
        "--seeds",
        type=options.positive,
        default=3,
        metavar="N",
        help="trainings per arm (default: 3)",
    )
    parser.add_argument("--data", default="migration", metavar="NAME|FILE", help="training pairs")
    parser.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="[ARM=]NAME",
        help="settings to begin with, of one arm or of all",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[ARM.]KEY=VALUE",
        help="a setting of one arm or of all (rewards.NAME=WEIGHT too)",
    )
    parser.add_argument(
        "--match",
        choices=("steps", "none"),
        default="steps",
        help="what is made equal: the updates of all arms (default), or nothing; tokens and time "
        "are recorded in any case",
    )
    group = parser.add_argument_group("evaluation, greedy and sampled")
    group.add_argument(
        "--eval",
        action="append",
        default=[],
        metavar="TASK[=FILE]",
        help="a task, with rows from FILE (default: migration and arena-mini; "
        "humaneval=FILE adds what the training costs in general ability)",
    )
    group.add_argument("--include-path", action="append", default=[], metavar="FOLDER",
                       help="look for tasks in this folder too")  # fmt: skip
    group.add_argument("--n", type=options.natural, default=10, metavar="N",
                       help="samples per problem; 0: greedy only (default: 10)")  # fmt: skip
    group.add_argument("--temperature", type=float, default=1.0, metavar="T",
                       help="of the samples (default: 1)")  # fmt: skip
    group.add_argument("--top-p", type=float, default=1.0, metavar="P",
                       help="of the samples (default: 1)")  # fmt: skip
    group.add_argument("--max-tokens", type=options.positive, metavar="N",
                       help="new tokens per sample (default: the task's)")  # fmt: skip
    group.add_argument("--limit", type=options.positive, metavar="N",
                       help="only the first N problems of each task")  # fmt: skip
    group.add_argument("--sandbox", choices=options.SANDBOX_TIERS[:-1], default="auto",
                       help="where programs run (default: auto)")  # fmt: skip
    parser.add_argument(
        "--out",
        type=options.path,
        default=Path("comparison"),
        metavar="FOLDER",
        help="trainings, runs and results; the same command continues (default: comparison)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what every arm would do and cost; then stop"
    )
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Train, evaluate, compare, and print the result."""
    plan = read_plan(arguments)
    if arguments.dry_run:
        _dry_run(plan, as_json=arguments.json)
        return ExitCode.OK

    def say(text: str) -> None:
        if not arguments.quiet:
            print(f"recode-train: {text}", file=sys.stderr, flush=True)

    from recode_eval.terminal import stdout_for_results
    from recode_train.comparing.report import show
    from recode_train.comparing.running import compare

    if "humaneval" not in plan.tasks:
        say("general ability is not measured; --eval humaneval=FILE adds it")
    with stdout_for_results():
        content = compare(plan, say)
    if arguments.json:
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return ExitCode.OK
    show(content)
    say(f"everything: {plan.out}/comparison.md")
    say(f"as a site: recode-eval leaderboard build {plan.out} --out site")
    return ExitCode.OK


def read_plan(arguments: argparse.Namespace) -> Comparing:
    """Return what the command line asks for; raises `UsageError`."""
    from recode_train.comparing.settings import BASE, Comparing, Evaluated

    trained = [arm for arm in arguments.arms if arm != BASE]
    general = [text for text in arguments.preset if "=" not in text]
    own = dict(text.split("=", 1) for text in arguments.preset if "=" in text)
    presets = {**(dict.fromkeys(trained, general[-1]) if general else {}), **own}
    tasks = []
    for text in arguments.eval or Evaluated().tasks:
        name, equals, rows = text.partition("=")
        if not name or (equals and not rows):
            raise UsageError(f"--eval {text}: write TASK or TASK=FILE.")
        tasks.append(f"{name}={Path(rows).expanduser().absolute()}" if rows else name)
    return Comparing(
        model=arguments.model,
        out=arguments.out,
        arms=arguments.arms,
        seeds=range(1, arguments.seeds + 1),
        data=arguments.data,
        presets=presets,
        overrides=arguments.set,
        match=arguments.match,
        evaluated=Evaluated(
            tasks=tasks,
            include_paths=[str(Path(path).absolute()) for path in arguments.include_path],
            samples=arguments.n,
            temperature=arguments.temperature,
            top_p=arguments.top_p,
            max_tokens=arguments.max_tokens,
            limit=arguments.limit,
            sandbox=arguments.sandbox,
        ),
    )


def _dry_run(plan: Comparing, *, as_json: bool) -> None:
    """Print the arithmetic of one training of every arm."""
    from recode_eval.terminal import one_line
    from recode_train.comparing.settings import arm_configs
    from recode_train.planning import describe, make_plan

    plans = {arm: make_plan(config) for arm, config in arm_configs(plan, plan.seeds[0]).items()}
    if as_json:
        json.dump({arm: item.as_dict() for arm, item in plans.items()}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    print(f"{'seeds':<17} {len(plan.seeds)}")
    print(f"{'evaluated on':<17} {', '.join(plan.tasks)}: greedy, {plan.evaluated.samples} samples")
    for arm, item in plans.items():
        print(f"\n{arm}")
        warnings = [("warning", text) for text in item.warnings]
        for key, value in [*describe(item), *warnings]:
            print(f"  {key:<17} {one_line(value)}")
