"""`recode-train compare`: train one model in several ways and print the comparison."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.commands import options
from recode_eval.commands.ending import Ending
from recode_eval.commands.parsers import completed_by
from recode_eval.errors import ExitCode, UsageError
from recode_eval.sandbox.tier import TIERS
from recode_train.algorithms import ALGORITHMS

if TYPE_CHECKING:
    import argparse

    from recode_train.comparing.configs import Prepared
    from recode_train.comparing.settings import CompareConfig
    from recode_train.planning import Plan

_EPILOG = """example:
  recode-train compare -m ./my-model --arms sft --arm 'dr=grpo,preset=dr-grpo' \\
    --match prompts --learning-rates 1e-5,5e-5 --dry-run

The same command continues an interrupted comparison."""

FIRST = (
    "--model", "--arms", "--arm", "--seeds", "--data", "--set", "--match", "--learning-rates",
    "--eval", "--out", "--dry-run",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "-m",
        "--model",
        required=True,
        metavar="PATH",
        help="folder or hub id from which all arms start",
    )
    arms = parser.add_argument(
        "--arms",
        type=options.names,
        metavar="ALGORITHM[,ALGORITHM]",
        help="algorithms to compare, each with its usual settings (default without --arm: "
        "sft,grpo,dapo); the comparison always includes base, the untrained model",
    )
    completed_by(arms, ALGORITHMS.names)
    parser.add_argument(
        "--arm",
        action="append",
        default=[],
        metavar="NAME=ALGORITHM[,KEY=VALUE...]",
        help="an arm with settings of its own; any number. start=ARM begins with the final weights "
        "of another arm, preset=NAME with named settings. Values are YAML; lists, mappings and "
        "text in quotation marks may hold commas: 'rewards={tests: 1}'",
    )
    parser.add_argument(
        "--seeds",
        type=options.positive,
        default=3,
        metavar="N",
        help="trainings per arm (default: 3)",
    )
    parser.add_argument(
        "--data",
        default="migration",
        metavar="NAME|FILE",
        help="training pairs, as of the algorithms (default: migration)",
    )
    parser.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="[ARM=]NAME",
        help="named settings of one arm or of all",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[ARM.]KEY=VALUE",
        help="one setting of one arm or of all; rewards.NAME=WEIGHT sets a single reward",
    )
    parser.add_argument(
        "--match",
        choices=("prompts", "updates", "steps", "tokens", "seconds", "none"),
        default="updates",
        help="what all arms have in common. prompts: the same pairs, equally often; updates "
        "(default; steps is its old name): the number of updates; tokens (generated and trained "
        "on) and seconds: they end when they have spent as much; none: each arm follows its "
        "settings. All of these, tokens and time are recorded in any case",
    )
    parser.add_argument(
        "--budget",
        type=float,
        metavar="N",
        help="how much of what is matched (default: that of the smallest arm)",
    )
    parser.add_argument(
        "--learning-rates",
        metavar="R[,R]",
        help="rates to try for every arm (of one arm: learning_rate=[R,R] in --arm), with a seed "
        "of their own; the best one on the validation task is taken",
    )
    parser.add_argument(
        "--validation",
        default="migration-validation",
        metavar="TASK[=FILE]",
        help="where learning rates are chosen (default: migration-validation)",
    )
    group = parser.add_argument_group("evaluation, greedy and sampled")
    group.add_argument(
        "--primary",
        metavar="METRIC",
        help="the metric that decides (default: pass@1; es without tests)",
    )
    group.add_argument(
        "--eval",
        action="append",
        default=[],
        metavar="TASK[=FILE]",
        help="a task, with rows from FILE (default: migration and arena-mini; humaneval=FILE "
        "measures the loss of general ability)",
    )
    group.add_argument("--include-path", action="append", default=[], metavar="FOLDER",
                       help="also look for tasks in this folder")  # fmt: skip
    group.add_argument("-n", "--n", type=options.natural, default=10, metavar="N",
                       help="samples per problem; 0: greedy only (default: 10)")  # fmt: skip
    group.add_argument("--temperature", type=float, default=1.0, metavar="T",
                       help="of the samples (default: 1)")  # fmt: skip
    group.add_argument("--top-p", type=float, default=1.0, metavar="P",
                       help="of the samples (default: 1)")  # fmt: skip
    group.add_argument("--max-tokens", type=options.positive, metavar="N",
                       help="new tokens per sample (default: the task's)")  # fmt: skip
    group.add_argument("--limit", type=options.positive, metavar="N",
                       help="only the first N problems of each task")  # fmt: skip
    group.add_argument("--problems", type=options.comma_list, default=(),
                       metavar="PATTERN[,PATTERN]",
                       help="only problems whose id contains a pattern (* and ? as in file "
                       "names)")  # fmt: skip
    group.add_argument("--sandbox", choices=("auto", *TIERS), default="auto",
                       help="tier that programs run in (default: auto)")  # fmt: skip
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        default=Path("comparison"),
        metavar="FOLDER",
        help="folder for trainings, runs and results; the same command continues (default: "
        "comparison)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan of every arm and stop"
    )
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Train, evaluate, compare, and print the result."""
    from recode_eval.terminal import stdout_for_results
    from recode_train.comparing.report import show
    from recode_train.comparing.running import compare_methods
    from recode_train.trainers import require_libraries

    config = read_config(arguments)
    if arguments.dry_run:
        _dry_run(config, as_json=arguments.json)
        return ExitCode.OK
    require_libraries()
    ending = Ending(quiet=arguments.quiet)
    if "humaneval" not in config.tasks and not arguments.quiet:
        _print_line("general ability is not measured; to measure it: --eval humaneval=FILE")
    with stdout_for_results():
        content = compare_methods(config, progress=not arguments.quiet)
    code = ExitCode.CHECK_FAILED if content["stopped"] else ExitCode.OK
    if arguments.json:
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return code
    show(content)
    folder = shlex.quote(str(config.folder))
    ending.say(
        f"The arms are compared; everything is in {config.folder}/comparison.md",
        [f"recode-eval leaderboard build {folder} --out site"],
        well=not content["stopped"],
    )
    return code


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def read_config(arguments: argparse.Namespace) -> CompareConfig:
    """Build the configuration from the command line; raises `UsageError`."""
    from recode_train.comparing.arms import BASE, parse_arm, parse_rates
    from recode_train.comparing.settings import CompareConfig, EvaluationSettings

    plain = arguments.arms or ([] if arguments.arm else ["sft", "grpo", "dapo"])
    arms = [parse_arm(text) for text in [*plain, *arguments.arm] if text != BASE]
    trained = [arm.name for arm in arms]
    general = [text for text in arguments.preset if "=" not in text]
    own = dict(text.split("=", 1) for text in arguments.preset if "=" in text)
    presets = {**(dict.fromkeys(trained, general[-1]) if general else {}), **own}
    tasks = []
    for text in arguments.eval or EvaluationSettings().tasks:
        tasks.append(_task("--eval", text))
    given = arguments.learning_rates
    rates = () if given is None else parse_rates(given, "--learning-rates")
    return CompareConfig(
        model=arguments.model,
        out=arguments.out,
        arms=arms,
        seeds=range(1, arguments.seeds + 1),
        data=arguments.data,
        presets=presets,
        overrides=arguments.set,
        match=arguments.match,
        budget=arguments.budget,
        primary=arguments.primary,
        learning_rates=rates,
        validation=_task("--validation", arguments.validation),
        evaluated=EvaluationSettings(
            tasks=tasks,
            include_paths=[str(Path(path).absolute()) for path in arguments.include_path],
            samples=arguments.n,
            temperature=arguments.temperature,
            top_p=arguments.top_p,
            max_tokens=arguments.max_tokens,
            limit=arguments.limit,
            problems=arguments.problems,
            sandbox=arguments.sandbox,
        ),
    )


def _task(option: str, text: str) -> str:
    """Return `TASK` or `TASK=FILE` with the whole path; raises `UsageError`."""
    name, equals, rows = text.partition("=")
    if not name or (equals and not rows):
        raise UsageError(f"{option} {text}: write TASK or TASK=FILE.")
    return f"{name}={Path(rows).expanduser().absolute()}" if rows else name


def _dry_run(config: CompareConfig, *, as_json: bool) -> None:
    """Print what the arms have in common, and the sizes of one training of each."""
    from recode_eval.terminal import one_line
    from recode_train.comparing.tuning import rates_of
    from recode_train.planning import describe

    prepared, plans = plan_arms(config)
    matched = prepared.matched
    if as_json:
        starts = {way.name: way.start for way in config.ways}
        content = {
            arm: {**item.as_dict(), "start": starts[arm], "matched": matched.text}
            for arm, item in plans.items()
        }
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    print(f"{'seeds':<17} {len(config.seeds)}")
    print(f"{'matched by':<17} {matched.text}")
    if matched.left_out:
        print(f"{'left out':<17} {matched.left_out} pairs, too long for one arm at least")
    for way in config.ways:
        if rates := rates_of(config, way):
            listed = ", ".join(f"{rate:g}" for rate in rates)
            print(f"{'learning rates':<17} {way.name}: {listed}, chosen on "
                  f"{one_line(config.validation)}, seed {config.tuning_seed}")  # fmt: skip
    print(
        f"{'evaluated on':<17} {', '.join(config.tasks)}: greedy, "
        f"{config.evaluated.samples} samples"
    )
    starts = {way.name: way.start for way in config.ways}
    for arm, item in plans.items():
        print(f"\n{arm}")
        warnings = [("warning", text) for text in item.warnings]
        for key, value in [("starts from", starts[arm]), *describe(item), *warnings]:
            print(f"  {key:<17} {one_line(value)}")


def plan_arms(config: CompareConfig) -> tuple[Prepared, dict[str, Plan]]:
    """Return what the arms have in common, and the plan of one training of each."""
    from recode_train.comparing.configs import arm_configs, prepare
    from recode_train.comparing.evaluating import Evaluations, evaluation_prompts
    from recode_train.comparing.tuning import check_validation
    from recode_train.planning import make_plan

    prepared = prepare(config, whole=False)
    prompts = evaluation_prompts(config, prepared.prompt)
    Evaluations(config, prompts, lambda _: None).check()
    check_validation(config, prepared.prompt)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.json" if prepared.restricted else None
        if file is not None:
            file.write_text(json.dumps(prepared.matched.pairs), encoding="utf-8")
        arms = arm_configs(config, config.seeds[0], prepared.matched, file)
        return prepared, {arm: make_plan(one) for arm, one in arms.items()}
