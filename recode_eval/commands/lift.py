"""`recode-eval lift RUN...`: tell whether documentation in the prompt helps, and which."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from recode_eval.comparison.lift import Lift


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "runs",
        type=options.path,
        nargs="+",
        metavar="RUN",
        help="runs that differ in --docs alone, of one or several models and tasks: folders, "
        "results.json, packs, or the folder given with --out",
    )
    parser.add_argument(
        "--metrics",
        type=options.names,
        metavar="METRIC[,METRIC]",
        help="compare these metrics, and the primary one (default: pass@1, stale_api, new_api, "
        "upass@1, no_code)",
    )
    parser.add_argument(
        "--by",
        type=options.comma_list,
        metavar="TAG[,TAG]",
        help="print the effects by these tags, such as dependency (default: the tags with at most "
        "15 values; an empty text: none; --json has all)",
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
    """Compare the arms of every model and task."""
    from recode_eval.comparison.lift import left_out, lifts
    from recode_eval.comparison.pairing import check_metrics
    from recode_eval.run.results_file import load_every_run
    from recode_eval.terminal import one_line, stderr_console

    if arguments.markdown and arguments.json:
        raise UsageError("Choose one of --json and --markdown.")
    runs = load_every_run(arguments.runs)
    if arguments.metrics:
        check_metrics(arguments.metrics, runs)
    found = lifts(runs, metrics=arguments.metrics, confidence=arguments.confidence)
    if not arguments.quiet:
        for text in left_out(runs, found):
            stderr_console().print(one_line(text), style="yellow", soft_wrap=True)
    tags = {tag for item in found for tag in item.tags}
    for tag in arguments.by or ():
        if tag not in tags:
            from recode_eval.plugins import unknown

            raise UsageError(unknown("tag of these runs", tag, sorted(tags)))
    if arguments.json:
        json.dump(to_json(found, arguments.confidence), sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif arguments.markdown:
        from recode_eval.comparison.lift_report import lift_markdown

        text = "".join(lift_markdown(item, arguments.by) for item in found)
        print(f"{heading(found, arguments.confidence)}.\n\n{text}", end="")
    else:
        show(found, confidence=arguments.confidence, tags=arguments.by)
    return ExitCode.OK


def show(
    found: Sequence[Lift], *, confidence: float = 0.95, tags: Sequence[str] | None = None
) -> None:
    """Print lifts on standard output."""
    from recode_eval.comparison.lift_report import print_lift
    from recode_eval.terminal import stdout_console

    console = stdout_console()
    console.print(heading(found, confidence), soft_wrap=True)
    for item in found:
        print_lift(console, item, tags)


def heading(found: Sequence[Lift], confidence: float) -> str:
    """Say what the figures are."""
    tests = sum(len(item.effects) for item in found)
    return (
        "What documentation in the prompt changes, in points of 100, paired by problem, with "
        f"clustered {100 * confidence:g} % intervals for problems like these; p: adjusted by Holm "
        f"over {tests} comparison{'' if tests == 1 else 's'} in the primary metric; breakdowns "
        "and intervals are not adjusted, and p depends on all runs that are named here"
    )


def to_json(found: Sequence[Lift], confidence: float) -> dict[str, Any]:
    """Return the JSON form (schemas/lift.py)."""
    from recode_eval.schemas.lift import SCHEMA_VERSION

    return {
        "schema_version": SCHEMA_VERSION,
        "confidence": confidence,
        "lifts": [_lift_json(item) for item in found],
    }


def _lift_json(item: Lift) -> dict[str, Any]:
    from recode_eval.comparison.differences import compared_json, difference_json
    from recode_eval.comparison.lift import cost_of, currency_of
    from recode_eval.gating.decision import run_json

    return {
        "model": item.model,
        "task": item.task,
        "seed": item.seed,
        "arms": [
            {
                "arm": arm.name,
                "run": run_json(arm.run),
                "problems": arm.run.results.counts.problems,
                "left_out": arm.left_out,
                "prompt_tokens_per_sample": arm.prompt_tokens,
                "completion_tokens_per_sample": arm.completion_tokens,
                "cost_per_sample": cost_of(arm.run, "per_sample"),
                "cost_per_solved": cost_of(arm.run, "per_solved"),
                "currency": currency_of(arm.run),
            }
            for arm in item.arms
        ],
        "effects": [
            {
                "arm": effect.arm,
                "reference": effect.reference,
                "cautions": list(effect.comparison.cautions),
                "metrics": [
                    compared_json(x, effect.reference, effect.arm, item.task)
                    for x in effect.comparison.differences
                ],
                "groups": [
                    {"tag": g.tag, "value": g.value, **difference_json(g.difference)}
                    for g in effect.groups
                ],
            }
            for effect in item.effects
        ],
    }
