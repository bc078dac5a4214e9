"""Whether all tiers of the sandbox give the same verdicts on programs of the migration tasks.

Runs each pair's new code, its old code with both releases, and with --mutants every single-edit
mutant of the new code (`migration_js_mutants.py`) on each tier, compares status by status, and
prints what differs.

    python benchmarks/tier_agreement.py migration-js migration-js-train --mutants

Exit status 1: something differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox import open_router
from recode_eval.sandbox.base import Limits
from recode_eval.tasks.migration import NEW_RELEASE
from recode_eval.tasks.registry import create_task

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox.base import Program
    from recode_eval.tasks.migration import MigrationTask

_LIMITS = Limits(cpu_s=3, wall_s=15, memory_bytes=1 << 30)
_Verdicts = dict[str, tuple[str, ...]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="+", metavar="TASK")
    parser.add_argument("--tiers", default="docker,bubblewrap,landlock")
    parser.add_argument("--mutants", action="store_true", help="of JavaScript pairs")
    parser.add_argument("--every", type=int, default=1, help="take each N-th mutant only")
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    found: dict[str, _Verdicts] = {}
    for tier in arguments.tiers.split(","):
        started = time.monotonic()
        found[tier] = {}
        for name in arguments.tasks:
            found[tier] |= _verdicts(name, tier, arguments)
        seconds = time.monotonic() - started
        print(f"{tier}: {len(found[tier])} programs in {seconds:.0f} s", flush=True)
    (first, reference), *others = found.items()
    statuses = Counter(status for verdict in reference.values() for status in verdict)
    print(f"{first}: tests by status: {dict(statuses)}")
    different = 0
    for tier, verdicts in others:
        for key, verdict in reference.items():
            if verdicts[key] != verdict:
                different += 1
                print(f"{key}: {first} {verdict}, {tier} {verdicts[key]}")
    print(f"{different} programs with different verdicts")
    return 1 if different else 0


def _verdicts(name: str, tier: str, arguments: argparse.Namespace) -> _Verdicts:
    task = create_task(name)
    with open_router(tier, environment=task.spec.environment, workers=arguments.workers) as sandbox:
        running = [
            (key, sandbox.submit(program, _LIMITS)) for key, program in _programs(task, arguments)
        ]
        return {
            key: tuple(verdict.status.value for verdict in future.result().verdicts)
            for key, future in running
        }


def _programs(task: MigrationTask, arguments: argparse.Namespace) -> Iterator[tuple[str, Program]]:
    for problem in task.load(None, skip_bad_rows=False).problems:
        for kind, code in problem.solutions.items():
            yield f"{problem.id} {kind}", task.programs(problem, code)[NEW_RELEASE]
        for kind, program in task.own_programs(problem):
            yield f"{problem.id} {kind}", program
        if arguments.mutants:
            from migration_js_mutants import mutants

            made = sorted(mutants(problem.payload.new_code).items())[:: arguments.every]
            for edit, code in made:
                yield f"{problem.id} {edit}", task.programs(problem, code)[NEW_RELEASE]


if __name__ == "__main__":
    raise SystemExit(main())
