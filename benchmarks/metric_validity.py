"""How well the string metrics and the measures of API use predict whether an answer passes.

For every pair of the tasks `migration` and `migration-train` a set of answers is made: the
reference and rewrites of it that should mean the same, the stale code, partial migrations, and
programs with one slip (`validity/answers.py`). All of them are executed in the sandbox, so what is
right is known and not assumed. Then each metric is asked to tell right from wrong.

    python benchmarks/metric_validity.py [--sandbox landlock] [--libraries numpy,pandas] [--seed 0]
        [--rewrites 3] [--mutants 2] [--workers 2] [--timeout 10] [--json FILE]
    python benchmarks/metric_validity.py --again FILE

Shares of answers of each kind are a choice of this study, and figures over all answers depend on
them; those within a contrast of two kinds do not. Exit status 1: nothing could be graded.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from validity.answers import answers
from validity.printing import tables
from validity.study import Graded, report, scores_of

from recode_eval.sandbox import Limits, Status, open_router
from recode_eval.sandbox.base import SandboxError
from recode_eval.scoring.similarity import similarity_scores
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from validity.answers import Answer

    from recode_eval.sandbox import Execution, Sandbox
    from recode_eval.tasks.base import Problem
    from recode_eval.tasks.migration import MigrationTask

TASKS = ("migration", "migration-train")
REFERENCE = "reference"
_SAY_EVERY_S = 15.0

Job = tuple["MigrationTask", "Problem", "Answer"]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    if arguments.again:
        stored = json.loads(arguments.again.read_text(encoding="utf-8"))
        about, graded = stored["about"], [Graded(**answer) for answer in stored["answers"]]
    else:
        about, graded = study(arguments)
    if not graded:
        print("nothing could be graded", file=sys.stderr)
        return 1
    results = report(graded)
    print("\n".join(tables(about, results)))
    if arguments.json:
        everything = {"about": about, **results, "answers": [asdict(a) for a in graded]}
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sandbox", default="auto", help="tier: docker, bubblewrap, landlock")
    parser.add_argument("--libraries", type=lambda text: text.split(","), help="only these")
    parser.add_argument("--rewrites", type=int, default=3, help="single rewrites per pair")
    parser.add_argument("--mutants", type=int, default=2, help="mutants of the new code per pair")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--timeout", type=float, default=10.0, help="CPU seconds per test")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    parser.add_argument("--again", type=Path, help="print the tables of such a file")
    arguments = parser.parse_args(argv)
    if min(arguments.rewrites, arguments.mutants) < 0 or arguments.workers < 1:
        parser.error("--rewrites and --mutants must not be negative, --workers at least 1")
    if arguments.timeout <= 0:
        parser.error("--timeout must be positive")
    return arguments


def study(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[Graded]]:
    """Make and execute the answers; return what was done, and the answers with verdicts."""
    began = time.monotonic()
    jobs, about = _jobs(arguments)
    _say(f"{len(jobs)} answers to {about['pairs']} pairs made in {time.monotonic() - began:.0f} s")
    with open_router(arguments.sandbox, workers=arguments.workers, log=_say) as sandbox:
        executed = _execute(jobs, sandbox, Limits(cpu_s=arguments.timeout))
        about["tier"] = sandbox.info.tier
    reasons = Counter(str(outcome) for outcome in executed if isinstance(outcome, SandboxError))
    unsound = sorted(
        problem.id
        for (_, problem, answer), outcome in zip(jobs, executed, strict=True)
        if answer.kind == REFERENCE and not (_sound(outcome) and outcome.passed)
    )
    graded = [
        _graded(task, problem, answer, outcome)
        for (task, problem, answer), outcome in zip(jobs, executed, strict=True)
        if _sound(outcome) and problem.id not in unsound
    ]
    statuses = Counter(
        str(verdict.status)
        for outcome in executed
        if _sound(outcome)
        for verdict in outcome.verdicts
        if verdict.status not in {Status.PASSED, Status.FAILED}
    )
    return about | {
        "graded": len(graded),
        "left_out": len(jobs) - len(graded),
        "not_graded": dict(reasons),
        "reference_does_not_pass": unsound,
        "tests_ended_otherwise": dict(statuses),
        "seconds": round(time.monotonic() - began),
    }, graded


def _jobs(arguments: argparse.Namespace) -> tuple[list[Job], dict[str, Any]]:
    jobs: list[Job] = []
    hashes: dict[str, str] = {}
    bad_rows: list[str] = []
    for name in TASKS:
        task: Any = create_task(name)
        data = task.load(None, skip_bad_rows=True)
        hashes[name] = data.content_hash
        bad_rows += [str(row) for row in data.bad_rows]
        jobs += [(task, problem, answer) for problem in data.problems
                 if not arguments.libraries or problem.payload.dependency in arguments.libraries
                 for answer in answers(problem.payload, seed=arguments.seed,
                                       rewrites=arguments.rewrites, mutants=arguments.mutants)
                 ]  # fmt: skip
    found = {problem.payload.dependency for _, problem, _ in jobs}
    if missing := set(arguments.libraries or ()) - found:
        raise SystemExit(f"there are no pairs of {', '.join(sorted(missing))}")
    problems = {problem.id: problem for _, problem, _ in jobs}
    return jobs, {
        "date": datetime.now(UTC).date().isoformat(),
        "seed": arguments.seed,
        "libraries": sorted(found),
        "pairs": len(problems),
        "clusters": len({problem.cluster for problem in problems.values()}),
        "answers": len(jobs),
        "data": hashes,
        "bad_rows": bad_rows,
    }


def _execute(
    jobs: Sequence[Job], sandbox: Sandbox, limits: Limits
) -> list[Execution | SandboxError]:
    """Return what became of each job, in their order."""
    programs = [
        next(iter(task.programs(problem, answer.code).values())) for task, problem, answer in jobs
    ]
    # An environment after the other: few are open at once.
    order = sorted(range(len(jobs)), key=lambda place: str(programs[place].environment))
    futures: dict[int, Future[Execution]] = {
        place: sandbox.submit(programs[place], limits) for place in order
    }
    outcomes: dict[int, Execution | SandboxError] = {}
    said = began = time.monotonic()
    for place in order:
        try:
            outcomes[place] = futures[place].result()
        except SandboxError as error:
            outcomes[place] = error
        now = time.monotonic()
        if now - said > _SAY_EVERY_S or len(outcomes) == len(jobs):
            said = now
            _say(
                f"{len(outcomes)} of {len(jobs)} graded in {now - began:.0f} s, "
                f"now {programs[place].environment}"
            )
    return [outcomes[place] for place in range(len(jobs))]


def _sound(outcome: Execution | SandboxError) -> Any:
    """Whether there is a verdict."""
    return not isinstance(outcome, SandboxError) and outcome.setup_error is None


def _graded(task: MigrationTask, problem: Problem, answer: Answer, outcome: Any) -> Graded:
    # As in a run: extraction takes the end of an answer off.
    similarity = similarity_scores(answer.code, problem.solutions["reference"].rstrip())
    failed = next((v for v in outcome.verdicts if v.status is not Status.PASSED), None)
    return Graded(
        pair=problem.id,
        cluster=problem.cluster,
        library=problem.payload.dependency,
        update_type=problem.payload.update_type,
        kind=answer.kind,
        passed=outcome.passed,
        scores=scores_of(similarity, task.measures(problem, answer.code)),
        detail=f"{failed.name} {failed.status}: {failed.detail}"[:200] if failed else "",
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
