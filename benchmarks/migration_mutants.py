"""How many small mistakes the tests of the Python migration pairs notice (mutation testing).

Makes single-edit mutants of each pair's new code (another operator or literal, a negated
condition, a dropped statement or argument, swapped arguments), runs the pair's tests on them with
the new release, and prints a row per library: mutants and how many of them some test fails. A
mutant that means the same as the program survives any test.

    python benchmarks/migration_mutants.py [LIBRARY ...] [--data FILE] [--survivors]

Exit status 1: fewer than 80 % are noticed over all, or fewer than 60 % of a pair's.
"""

from __future__ import annotations

import argparse
import os
import random
from typing import TYPE_CHECKING

from mutant_tally import Tally

from recode_eval.languages.python.mutants import mutants
from recode_eval.sandbox import open_router
from recode_eval.sandbox.base import Limits
from recode_eval.tasks.migration import NEW_RELEASE
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox.base import Program

_TASKS = ("migration", "migration-train", "migration-validation")
_LIMITS = Limits(cpu_s=10, wall_s=20)
"""A mutant that loops or waits for ever is noticed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help="none: all")
    parser.add_argument("--data", metavar="FILE", help="pairs of your own (JSONL)")
    parser.add_argument("--each", type=int, default=24, help="mutants of a pair, at most")
    parser.add_argument("--sandbox", default="landlock")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--survivors", action="store_true", help="print what no test noticed")
    arguments = parser.parse_args()
    tally = Tally("library", tell_survivors=arguments.survivors)
    with open_router(arguments.sandbox, workers=arguments.workers) as sandbox:
        for pair, library, programs in _pairs(arguments):
            running = {edit: sandbox.submit(one, _LIMITS) for edit, one in programs.items()}
            survivors = [edit for edit, future in running.items() if future.result().passed]
            tally.add(pair, library, len(programs), survivors)
    return tally.show()


def _pairs(arguments: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, Program]]]:
    """Yield each pair's id, its library and its mutants' programs by the line that was edited."""
    for name in _TASKS if arguments.data is None else _TASKS[:1]:
        task = create_task(name)
        for problem in task.load(arguments.data, skip_bad_rows=False).problems:
            row = problem.payload
            if arguments.libraries and row.dependency not in arguments.libraries:
                continue
            made = mutants(row.new_code, arguments.each, random.Random(problem.id))
            programs = {
                _edit(row.new_code, mutant): task.programs(problem, mutant)[NEW_RELEASE]
                for mutant in made
            }
            yield problem.id, row.dependency, programs


def _edit(code: str, mutant: str) -> str:
    """Return what differs, for people."""
    lines = zip(code.splitlines(), mutant.splitlines(), strict=False)
    number, old, new = next(
        (number, old.strip(), new.strip())
        for number, (old, new) in enumerate(lines, 1)
        if old != new
    )
    return f"{number}: {old} -> {new}"


if __name__ == "__main__":
    raise SystemExit(main())
