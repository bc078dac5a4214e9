"""`recode-eval validate`: prove a task's problems by execution; no model needed."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from recode_eval.commands import configs, options
from recode_eval.errors import ExitCode, StorageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recode_eval.run.validate import Finding
    from recode_eval.tasks.base import Task

QUARANTINE_REPEATS = 5
"""A test that fails one time in three is missed once in eight with five repeats."""

FIRST = (
    "--tasks", "--data", "--include-path", "--limit", "--problems", "--sandbox", "--repeats",
    "--quarantine", "--proven", "--json",
)  # fmt: skip
"""Options that `--help` shows; `--help-all` shows the rest."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    options.add_task_options(parser, default="arena-mini")
    options.add_sandbox_options(parser, isolation="program")
    parser.add_argument(
        "--repeats",
        type=options.positive,
        metavar="N",
        help="run everything N times, to find flaky problems (default: 1; with --quarantine: 5)",
    )
    parser.add_argument(
        "--quarantine",
        type=options.path,
        metavar="FILE",
        help="write the problems that are flaky or broken here to FILE; `--quarantine FILE` of a "
        "run leaves them out",
    )
    parser.add_argument(
        "--proven",
        type=options.path,
        metavar="FILE",
        help="leave out what FILE says was proven as it is now, and add what is proven; the "
        "bundled pairs' is tasks/migration/proven.json",
    )
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Validate each task; exit code 1 if a problem is faulty, 75 if some could not be graded."""
    from recode_eval.files import check_file_place
    from recode_eval.run.progress import counting, create_monitor
    from recode_eval.run.proven import Proven
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.run.settings import Selection, changed_limits
    from recode_eval.run.validate import validate
    from recode_eval.sandbox.base import Limits
    from recode_eval.tasks.loading import load_tasks
    from recode_eval.terminal import stdout_for_results

    for file in filter(None, (arguments.quarantine, arguments.proven)):
        check_file_place(file)
    monitor = create_monitor(quiet=arguments.quiet)
    reports = []
    hashes: dict[str, str] = {}
    known: dict[str, int] = {}
    trouble: StorageError | None = None
    repeats = arguments.repeats or (1 if arguments.quarantine is None else QUARANTINE_REPEATS)
    proven = Proven(arguments.proven)
    where = configs.sandbox_options(arguments)
    with stdout_for_results(), Sandboxes(where, monitor.log) as sandboxes:
        for task, data in load_tasks(
            arguments.tasks,
            configs.data_sources(arguments.data, arguments.tasks),
            include_path=arguments.include_path,
            skip_bad_rows=arguments.skip_bad_rows,
            log=monitor.log,
        ):
            chosen = Selection(
                1, arguments.limit, tuple(arguments.problems), arguments.since, arguments.until
            ).problems(data)
            problems = tuple(p for p in chosen if not proven.holds(task, p))
            sandbox = sandboxes.opener(task, arguments.isolation)()
            started = time.monotonic()
            label = f"validating {task.spec.name}"
            with counting(label, len(problems), quiet=arguments.quiet) as advance:
                findings = validate(
                    task,
                    problems,
                    sandbox,
                    changed_limits(Limits(), arguments.timeout, arguments.memory),
                    repeats=repeats,
                    on_done=advance,
                )
            monitor.log(f"{task.spec.name}: {time.monotonic() - started:.0f} s")
            reports.append((task, findings))
            known[task.spec.name] = len(chosen) - len(problems)
            try:
                proven.add(task, problems, findings)
            except StorageError as error:  # what was found out is shown first
                trouble = error
            hashes[task.spec.name] = data.content_hash
            tier = sandbox.info.tier
    if arguments.json:
        _print_json(reports)
    else:
        _print_text(reports, known)
    if trouble is not None:
        raise trouble
    if arguments.quarantine is not None:
        _write_quarantine(arguments.quarantine, reports, hashes, tier, repeats)
    everything = [finding for _, findings in reports for finding in findings]
    if any(finding.faults for finding in everything):
        return ExitCode.CHECK_FAILED
    return ExitCode.INCOMPLETE if any(f.ungraded for f in everything) else ExitCode.OK


def _write_quarantine(
    file: Path,
    reports: Sequence[tuple[Task, Sequence[Finding]]],
    hashes: Mapping[str, str],
    tier: str,
    repeats: int,
) -> None:
    import platform

    from recode_eval import __version__
    from recode_eval.run import provenance
    from recode_eval.tasks import quarantine
    from recode_eval.terminal import stderr_console

    tasks = {
        task.spec.name: quarantine.quarantined_task(
            hashes[task.spec.name],
            (
                quarantine.Outcome(
                    finding.problem_id,
                    finding.sound,
                    repeats,
                    finding.faults,
                    ungraded=bool(finding.ungraded),
                )
                for finding in findings
            ),
        )
        for task, findings in reports
    }
    quarantine.write_quarantine(
        file,
        quarantine.Quarantine(
            schema_version=quarantine.SCHEMA_VERSION,
            created=provenance.now(),
            recode_eval=__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            sandbox=tier,
            repeats=repeats,
            tasks=tasks,
        ),
    )
    listed = sum(len(task.problems) for task in tasks.values())
    stderr_console().print(f"{listed} problems in quarantine: {file}", soft_wrap=True)


def _print_json(reports: Sequence[tuple[Task, Sequence[Finding]]]) -> None:
    content = {
        task.spec.name: [
            {
                "problem_id": finding.problem_id,
                "checks": finding.checks,
                "faults": list(finding.faults),
                "ungraded": list(finding.ungraded),
                "reference_fails": finding.reference_fails,
                "environments": list(finding.environments),
            }
            for finding in findings
        ]
        for task, findings in reports
    }
    json.dump(content, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _print_text(
    reports: Sequence[tuple[Task, Sequence[Finding]]], known: Mapping[str, int]
) -> None:
    """Print faults and a line per task; `known` says how many were proven before, by task."""
    from recode_eval.terminal import one_line, stdout_console

    console = stdout_console()
    for task, findings in reports:
        faulty = [finding for finding in findings if finding.faults]
        broken = [finding for finding in faulty if finding.reference_fails]
        ungraded = [finding for finding in findings if finding.ungraded and not finding.faults]
        for finding in faulty:
            for fault in finding.faults:
                console.print(
                    f"{one_line(finding.problem_id)}: {one_line(fault)}",
                    style="red",
                    soft_wrap=True,
                )
        for finding in ungraded:
            console.print(
                f"{one_line(finding.problem_id)}: not graded: {one_line(finding.ungraded[0])}",
                style="yellow",
                soft_wrap=True,
            )
        checks = sum(finding.checks for finding in findings)
        sound = len(findings) - len(faulty) - len(ungraded)
        shown = f"{checks} checks" if task.conditions else "no tests to execute"
        before = known.get(task.spec.name, 0)
        more = f"; {before} were proven before" if before else ""
        console.print(
            f"{task.spec.name}: {sound} of {len(findings)} problems are sound "
            f"({shown}, {len(faulty)} faulty, {len(ungraded)} not graded){more}",
            style="green" if sound == len(findings) else "bold",
        )
        if broken:
            console.print(
                f"{task.spec.name}: the task's own answer fails here in {len(broken)} problems, so "
                "that a model's failure in them says nothing: "
                + ", ".join(_named(finding) for finding in broken),
                style="red",
                soft_wrap=True,
            )


def _named(finding: Finding) -> str:
    """Return a problem and the environments of its own."""
    from recode_eval.terminal import one_line

    where = f" (in {', '.join(finding.environments)})" if finding.environments else ""
    return one_line(f"{finding.problem_id}{where}")
