"""`recode-eval score RUN`: grade stored completions again, without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.commands import configs, options

if TYPE_CHECKING:
    import argparse

    from recode_eval.errors import ExitCode

FIRST = ("--all", "--data", "--k", "--sandbox", "--json")
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "run", type=options.path, nargs="+", metavar="RUN", help="a run's folder (manifest.json)"
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="the task's rows, if they have moved since the run",
    )
    options.add_include_path(parser)
    parser.add_argument(
        "--all", action="store_true", help="grade every sample again, including those with a score"
    )
    parser.add_argument(
        "--k",
        type=options.positive_list,
        metavar="K[,K]",
        help="values of k for pass@k (default: the run's)",
    )
    parser.add_argument(
        "--prices",
        type=options.path,
        metavar="FILE",
        help="compute the costs anew with this prices.yaml (default: the run's own price)",
    )
    options.add_sandbox_options(parser, default="the run's")
    options.add_breakdown(options.add_output_options(parser))


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Grade each run and print its table."""
    from recode_eval.api import rescore
    from recode_eval.commands.run import exit_code
    from recode_eval.run import report
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.rescore import RescoreConfig
    from recode_eval.terminal import stdout_for_results

    config = RescoreConfig(
        data=configs.data_sources(arguments.data),
        include_path=arguments.include_path,
        everything=arguments.all,
        k=arguments.k,
        isolation=arguments.isolation,
        timeout_s=arguments.timeout,
        memory_mib=arguments.memory,
        sandbox=configs.sandbox_options(arguments),
        prices=arguments.prices,
    )
    with stdout_for_results():
        evaluation = rescore(arguments.run, config, progress=create_monitor(quiet=arguments.quiet))
    results = evaluation.contents()
    report.show(
        results, as_json=arguments.json, quiet=arguments.quiet, breakdown=arguments.breakdown
    )
    return exit_code(results)
