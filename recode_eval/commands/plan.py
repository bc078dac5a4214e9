"""`recode-eval plan`: how many problems, samples and seeds a verdict needs, before any is drawn."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse

    from recode_eval.gating.plans import Planned
    from recode_eval.gating.policy import Policy
    from recode_eval.stats.planning import Design

_EPILOG = """Two RUNs of equally good models show all variances. With one, or with none, the plan
assumes that checkpoints differ as the simulated ones of docs/ci.md do, and says so.

examples:
  recode-eval plan runs/old
  recode-eval plan runs/old runs/new --margin 4 --plot plan.svg
  recode-eval plan --task migration --rate 0.4
  recode-eval plan --problems 300 --clusters 100 --margin 5 --seed-sd 1.5"""

FIRST = (
    "--task", "--problems", "--rate", "--n", "--margin", "--loss", "--policy", "--plot", "--json",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    points = options.number(0, 100, above=True)
    parser.add_argument(
        "runs",
        type=options.path,
        nargs="*",
        metavar="RUN",
        help="one or two stored runs of one task, as for `gate`",
    )
    group = parser.add_argument_group("without a run")
    group.add_argument("--task", metavar="NAME", help="the problems and clusters of a task")
    group.add_argument("--data", type=options.path, metavar="FILE", help="the task's rows")
    options.add_include_path(group)
    group.add_argument("--problems", type=options.positive, metavar="N", help="number of problems")
    group.add_argument(
        "--clusters", type=options.positive, metavar="N", help="their clusters (default: each one)"
    )
    group.add_argument(
        "--rate", type=options.share, metavar="SHARE", help="mean pass rate (default: 0.5)"
    )
    group = parser.add_argument_group("what is planned")
    group.add_argument(
        "-n",
        "--n",
        type=options.positive_list,
        default=[2, 5, 10, 20, 50],
        metavar="N[,N]",
        help="samples per problem of each side (default: 2,5,10,20,50)",
    )
    group.add_argument(
        "--margin", type=points, metavar="POINTS", help="tolerated drop (default: the policy's)"
    )
    group.add_argument(
        "--loss",
        type=points,
        metavar="POINTS",
        help="true drop that the gate should find (default: 5, or the margin if that is more)",
    )
    group.add_argument("--policy", type=options.path, metavar="FILE.yaml", help="the gate's policy")
    group.add_argument(
        "--seed-sd",
        type=points,
        metavar="POINTS",
        help="standard deviation of the metric between trainings of one method: also plan how many "
        "trainings per method find a true difference of --loss",
    )
    group.add_argument(
        "--plot", type=options.path, metavar="FILE.svg", help="write a chart of the chances"
    )
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Plan, and print a table or JSON."""
    from recode_eval.gating.plan_report import chart, print_plan
    from recode_eval.gating.policy import load_policy
    from recode_eval.run.store import write_text
    from recode_eval.terminal import stdout_console

    planned = _planned(arguments, load_policy(arguments.policy))
    content = planned.to_json(arguments.n, _share(arguments.seed_sd))
    if arguments.plot is not None:
        write_text(arguments.plot, chart(planned, arguments.n))
    if arguments.json:
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print_plan(stdout_console(), content)
    return ExitCode.OK


def _planned(arguments: argparse.Namespace, policy: Policy) -> Planned:
    from recode_eval.gating.plans import Planned
    from recode_eval.gating.policy import DEFAULT
    from recode_eval.metrics import TaskKind, primary
    from recode_eval.stats.planning import Rule, Variation

    made: dict[str, Any]
    if arguments.runs:
        made = _from_runs(arguments)
    else:
        rate = 0.5 if arguments.rate is None else arguments.rate
        task, design = _assumed_design(arguments)
        made = {
            "task": task,
            "source": f"assumed: simulated checkpoints with a pass rate of {rate:g}",
            "design": design,
            "variation": Variation.assumed(rate),
            "rate": rate,
        }
    margin = _share(arguments.margin)
    if margin is None:
        points = policy.metrics(made["task"] or DEFAULT).get(primary(TaskKind.TESTED))
        if points is None:
            raise UsageError("The policy has no margin of pass@1 for this task; give --margin.")
        margin = points / 100
    loss = _share(arguments.loss)
    loss = max(0.05, margin) if loss is None else loss
    return Planned(rule=Rule(margin, policy.level), loss=loss, **made)


def _from_runs(arguments: argparse.Namespace) -> dict[str, Any]:
    from recode_eval.gating.plans import design_of, rate_of, variation_between, variation_of
    from recode_eval.run.results_file import load_runs

    for name in ("task", "data", "problems", "clusters", "rate"):
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name}: the run has this; leave out --{name} or the RUN.")
    if len(arguments.runs) > 2:
        raise UsageError("A plan takes one or two runs.")
    found = [load_runs([place]) for place in arguments.runs]
    for place, runs in zip(arguments.runs, found, strict=True):
        if len(runs) != 1:
            names = ", ".join(run.task for run in runs)
            raise UsageError(f"{place} has runs of several tasks ({names}); name one run's folder.")
    first, *others = (runs[0] for runs in found)
    if others and others[0].task != first.task:
        raise UsageError(f"The runs are of different tasks: {first.task} and {others[0].task}.")
    variation = variation_between(first, others[0]) if others else variation_of(first)
    source = "both runs" if others else "the run; changes between checkpoints are assumed"
    return {
        "task": first.task,
        "source": source,
        "design": design_of(first),
        "variation": variation,
        "rate": rate_of(first),
    }


def _assumed_design(arguments: argparse.Namespace) -> tuple[str | None, Design]:
    from collections import Counter

    from recode_eval.stats.planning import Design
    from recode_eval.tasks.loading import load_task

    if arguments.task is None:
        if arguments.problems is None:
            raise UsageError("Give a RUN, --task NAME, or --problems N (and --clusters N).")
        clusters = arguments.clusters or arguments.problems
        try:
            return None, Design.even(arguments.problems, clusters)
        except ValueError as error:
            raise UsageError(f"--problems {arguments.problems}: {error}.") from error
    if arguments.problems is not None or arguments.clusters is not None:
        raise UsageError("--task has its own problems; leave out --problems and --clusters.")
    loaded = load_task(
        arguments.task, arguments.data, include_path=arguments.include_path, skip_bad_rows=True
    )
    sizes = Counter(problem.cluster for problem in loaded.problems)
    try:
        return arguments.task, Design(tuple(sizes.values()))
    except ValueError as error:
        raise UsageError(f"--task {arguments.task}: {error}.") from error


def _share(points: float | None) -> float | None:
    return None if points is None else points / 100
