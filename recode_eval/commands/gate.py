"""`recode-eval gate`: the verdict on a candidate, its exit code, and the files that CI shows."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from recode_eval.commands import gate_model, options
from recode_eval.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from recode_eval.gating.aa_test import SelfCheck
    from recode_eval.gating.policy import Policy

_EPILOG = """exit codes: 0 pass; 1 regress; 2 usage error; 3 inconclusive; 4 the runs cannot be
compared; others: recode-eval --help"""

FIRST = (
    "--baseline", "--candidate", "--model", "--tasks", "--policy", "--print-policy", "--self-check",
    "--out", "--json",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    for side in ("baseline", "candidate"):
        parser.add_argument(
            f"--{side}", type=options.path, nargs="+", metavar="RUN", help=options.RUN
        )
    for side in ("baseline", "candidate"):
        parser.add_argument(
            f"--rerun-{side}",
            type=options.path,
            nargs="+",
            metavar="RUN",
            help=f"a second run of the {side} with another --seed; the gate uses it if the first "
            "verdict is inconclusive and the policy has `rerun: true`",
        )
    parser.add_argument(
        "--policy",
        type=options.path,
        metavar="FILE.yaml",
        help="margins, metrics, tasks, level (default: see --print-policy)",
    )
    parser.add_argument("--print-policy", action="store_true", help="print the default policy")
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        metavar="FOLDER",
        help="write verdict.json, summary.md, junit.xml and badge.json here (default: no files)",
    )
    check = parser.add_argument_group("self-check")
    check.add_argument(
        "--self-check",
        type=options.path,
        nargs="+",
        metavar="RUN",
        help="split each run's samples at random into two halves, and report how often the rule "
        "calls one of them worse",
    )
    check.add_argument(
        "--splits",
        type=options.positive,
        default=1_000,
        metavar="N",
        help="number of splits (default: 1000)",
    )
    gate_model.add_options(parser)
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Compare, write the reports, print the verdict."""
    from recode_eval.gating.policy import DEFAULT_FILE, load_policy

    if arguments.print_policy:
        sys.stdout.write(DEFAULT_FILE.read_text(encoding="utf-8"))
        return ExitCode.OK
    named = arguments.baseline, arguments.candidate
    if arguments.model is not None:
        _check_sampling(arguments)
        return _gate(arguments, load_policy(arguments.policy))
    reruns = arguments.rerun_baseline, arguments.rerun_candidate
    if any(reruns) and not (all(reruns) and all(named)):
        raise UsageError(
            "A rerun needs all four: --baseline, --candidate, --rerun-baseline and "
            "--rerun-candidate."
        )
    if arguments.self_check:
        if any(named):
            raise UsageError("--self-check needs neither --baseline nor --candidate.")
        return _self_check(arguments, load_policy(arguments.policy))
    if not all(named):
        raise UsageError(
            "Name two stored runs: recode-eval gate --baseline RUN --candidate RUN "
            "(or one and a model: --baseline RUN --model MODEL; or one: --self-check RUN)"
        )
    return _gate(arguments, load_policy(arguments.policy))


def _check_sampling(arguments: argparse.Namespace) -> None:
    if not arguments.baseline or arguments.candidate or arguments.self_check:
        raise UsageError("--model needs --baseline, and excludes --candidate and --self-check.")
    if arguments.rerun_candidate:
        raise UsageError(
            "--rerun-candidate: with --model, the gate reruns the candidate itself; leave it out."
        )
    if arguments.rerun_baseline and arguments.baseline_model:
        raise UsageError("A rerun has one baseline: give --rerun-baseline or --baseline-model.")


def _gate(arguments: argparse.Namespace, policy: Policy) -> ExitCode:
    from recode_eval.api import gate
    from recode_eval.gating.decision import verdict_json
    from recode_eval.gating.report import print_decision
    from recode_eval.gating.report_files import FILES, append_step_summary, write_reports
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import one_line, stderr_console, stdout_console, stdout_for_results

    sampled = arguments.model is not None
    with stdout_for_results():
        decision = gate(
            arguments.baseline,
            gate_model.candidate(arguments) if sampled else arguments.candidate,
            policy=policy,
            rerun_baseline=arguments.rerun_baseline or (),
            rerun_candidate=arguments.rerun_candidate or (),
            progress=create_monitor(quiet=arguments.quiet),
        )
    if arguments.out is None:
        append_step_summary(decision)
        content = verdict_json(decision)
    else:
        content = write_reports(decision, arguments.out)
    if arguments.json:
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print_decision(stdout_console(), decision)
    if arguments.out is not None and not arguments.quiet:
        text = f"Written to {one_line(arguments.out)}: {', '.join(FILES)}."
        stderr_console().print(text, soft_wrap=True)
    return decision.verdict.exit_code


def _self_check(arguments: argparse.Namespace, policy: Policy) -> ExitCode:
    from recode_eval.gating.aa_test import self_check
    from recode_eval.run.results_file import load_runs

    checks = [
        self_check(run, policy, splits=arguments.splits) for run in load_runs(arguments.self_check)
    ]
    if arguments.json:
        json.dump([_check_json(check, policy) for check in checks], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print_checks(checks, policy)
    return ExitCode.OK if all(check.sound for check in checks) else ExitCode.CHECK_FAILED


def _check_json(check: SelfCheck, policy: Policy) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "task": check.run.task,
        "model": check.run.model,
        "source": check.run.source,
        "samples_per_half": check.samples,
        "margin": check.margin,
        "level": policy.level,
        "splits": check.splits,
        "verdicts": {str(verdict): count for verdict, count in check.verdicts.items()},
        "false_alarms": check.false_alarms,
        "p_value": check.p_value,
        "sound": check.sound,
    }


def _print_checks(checks: Sequence[SelfCheck], policy: Policy) -> None:
    from recode_eval.terminal import one_line, stdout_console

    console = stdout_console()
    for check in checks:
        shares = ", ".join(
            f"{verdict} {count / check.splits:.1%}".replace("%", " %")
            for verdict, count in check.verdicts.items()
        )
        name = f"{one_line(check.run.model, 60)} on {one_line(check.run.task, 60)}"
        console.print(
            f"{name}: {check.splits} splits into halves of {check.samples} samples: {shares}.",
            soft_wrap=True,
        )
        sound = "no more than" if check.sound else "clearly more than"
        console.print(
            f"  false alarms: {100 * check.false_alarms:.1f} %, {sound} the policy's "
            f"{100 * policy.level:g} %. The gate itself has twice the samples and passes an "
            "unchanged model more often.",
            style="" if check.sound else "red",
            soft_wrap=True,
        )
