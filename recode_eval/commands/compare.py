"""`recode-eval compare A B [C ...]`: paired differences of stored runs; A is the baseline."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from recode_eval.comparison.differences import Comparison


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "runs",
        type=options.path,
        nargs="+",
        metavar="RUN",
        help=f"{options.RUN}; the first is the baseline",
    )
    parser.add_argument(
        "--metrics",
        type=options.names,
        metavar="METRIC[,METRIC]",
        help="compare only these metrics, such as pass@1,upass@1 (default: all); fewer exploratory "
        "metrics make their Holm correction milder",
    )
    parser.add_argument(
        "--confidence",
        type=options.share,
        default=0.95,
        metavar="SHARE",
        help="confidence level of the intervals (default: 0.95)",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Compare every run with the first one, task by task."""
    from recode_eval.api import compare

    if arguments.markdown and arguments.json:
        raise UsageError("Choose one of --json and --markdown.")
    found = compare(*arguments.runs, metrics=arguments.metrics, confidence=arguments.confidence)
    _show(found, arguments)
    return ExitCode.OK


def _show(comparisons: Sequence[Comparison], arguments: argparse.Namespace) -> None:
    from recode_eval.comparison import report
    from recode_eval.metrics import plain_labels, similarity_names
    from recode_eval.terminal import one_line, stdout_console

    title = (
        "Differences, candidate minus baseline, in points of 100 "
        f"({', '.join(plain_labels(similarity_names()))}: in their own unit), with clustered "
        f"{100 * arguments.confidence:g} % intervals and p-values for problems like these; N: "
        "problems in clusters; p (Holm): over the primary metrics, and over the exploratory ones"
    )
    if arguments.json:
        json.dump(_json(comparisons, arguments.confidence), sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif arguments.markdown:
        parts = [
            report.comparison_markdown(item)
            + (f"{note}.\n\n" if (note := _power(item, report.code)) else "")
            for item in comparisons
        ]
        print(f"{title}.\n\n{''.join(parts)}", end="")
    else:
        console = stdout_console()
        console.print(title, soft_wrap=True)
        for item in comparisons:
            report.print_comparison(console, item)
            if note := _power(item, lambda name: one_line(name, 60)):
                console.print(f"{note}.", soft_wrap=True)
        for item in comparisons:
            report.print_headline(console, item)


def _power(item: Comparison, safe: Callable[[str], str] = str) -> str | None:
    from recode_eval.gating.plans import power_note

    return power_note(item.baseline, item.candidate, safe(item.baseline.task))


def _json(comparisons: Sequence[Comparison], confidence: float) -> dict[str, Any]:
    from recode_eval.comparison.costs import cost_difference, cost_json
    from recode_eval.comparison.differences import compared_json
    from recode_eval.comparison.problems import changes_json
    from recode_eval.gating.decision import run_json
    from recode_eval.schemas.comparison import SCHEMA_VERSION

    return {
        "schema_version": SCHEMA_VERSION,
        "confidence": confidence,
        "comparisons": [
            {
                "task": item.baseline.task,
                "baseline": run_json(item.baseline),
                "candidate": run_json(item.candidate),
                "cautions": list(item.cautions),
                "power": _power(item),
                "cost": cost_json(cost_difference(item.baseline, item.candidate)),
                "metrics": [
                    compared_json(x, *item.names, item.baseline.task) for x in item.differences
                ],
                **changes_json(item.changes),
            }
            for item in comparisons
        ],
    }
