"""`recode-eval demo`: the built-in baselines on the bundled task, to see that everything works.

The reference must score at the top, code that ignores the update at the bottom. It ends with a
leaderboard of the runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.commands.run import exit_code
from recode_eval.errors import ExitCode, RecodeError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

BASELINES = ("reference", "stale", "empty")


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    options.add_sandbox_options(parser)
    options.add_output_options(parser)
    parser.add_argument(
        "--out",
        type=options.path,
        default=Path("demo-runs"),
        metavar="FOLDER",
        help="where the runs are stored, and the leaderboard in its folder site (default: "
        "demo-runs)",
    )


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Evaluate each baseline, print one table, and write the site."""
    from recode_eval.api import evaluate
    from recode_eval.run import report
    from recode_eval.run.config import RunConfig
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import stdout_for_results

    monitor = create_monitor(quiet=arguments.quiet)
    results: list[dict[str, Any]] = []
    with stdout_for_results():
        for kind in BASELINES:
            config = RunConfig(
                model=f"baseline:{kind}",
                tasks=["arena-mini"],
                k=[1],
                isolation=arguments.isolation,
                timeout_s=arguments.timeout,
                memory_mib=arguments.memory,
                sandbox=options.sandbox_options(arguments),
                out=arguments.out,
            )
            results += evaluate(config, progress=monitor).contents()
    report.show(results, as_json=arguments.json, quiet=arguments.quiet)
    if not (arguments.json or arguments.quiet):
        print(
            "`baseline:reference` answers with the known solution, `baseline:stale` with code that"
            "\nignores the update, `baseline:empty` not at all. Yours:\n"
            f"  {sys.argv[0]} --model PATH --tasks arena-mini",
            file=sys.stderr,
        )
    write_site(arguments.out, as_json=arguments.json)
    code = exit_code(results)
    return verdict(results) if code is ExitCode.OK else code


def write_site(runs: Path, *, as_json: bool) -> None:
    """Write the leaderboard of the runs and print its path; not on a standard output of JSON.

    What keeps it from being written, such as the missing extra `site`, is said and no more: the
    baselines are what counts.
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
    """Say what is wrong with an installation whose baselines do not score as they must."""
    shares = [result["metrics"]["pass@1"]["value"] for result in results]
    if shares == [1.0, 0.0, 0.0]:
        return ExitCode.OK
    print(
        "recode-eval: the baselines must score 100, 0 and 0 (pass@1). `recode-eval validate` names "
        "the problems that do not work here.",
        file=sys.stderr,
    )
    return ExitCode.CHECK_FAILED
