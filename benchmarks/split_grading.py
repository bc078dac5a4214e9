"""What tests in a process of their own cost, and whether they change a verdict.

Runs the reference and other known solutions of tasks twice, with the isolations `program` and
`split`, and prints for each task: programs, equal verdicts, the share that was split, and the ratio
of CPU times of those that were. As in a run, a problem whose reference passes in one process only
is not split.

    python benchmarks/split_grading.py arena-mini migration humaneval=HumanEval.jsonl
        [--sandbox landlock] [--workers 2] [--rounds 3]

Exit status 1: a verdict differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from recode_eval.run.calibration import ONLY_IN_ONE_PROCESS
from recode_eval.sandbox import open_sandbox
from recode_eval.sandbox.base import Limits
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.sandbox.base import Execution, Program

    Key = tuple[str, str, str]
    """Problem, solution, condition."""

_LIMITS = Limits()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="+", metavar="TASK[=FILE]")
    parser.add_argument("--sandbox", default="landlock")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3, help="the CPU times are sums over these")
    arguments = parser.parse_args()
    differing = 0
    print("| task | programs | same verdict | split | CPU |\n| --- | ---: | ---: | ---: | ---: |")
    for text in arguments.tasks:
        name, _, source = text.partition("=")
        differing += _report(name, source or None, arguments)
    return 1 if differing else 0


def _report(name: str, source: str | None, arguments: argparse.Namespace) -> int:
    """Print a task's row and what differs; return how many verdicts do."""
    task = create_task(name)
    programs: dict[Key, Program] = {
        (problem.id, solution, condition): program
        for problem in task.load(source, skip_bad_rows=True).problems
        for solution, code in problem.solutions.items()
        for condition, program in task.programs(problem, code).items()
    }
    environment = task.spec.environment or ""
    whole, split = Counter[str](), Counter[str]()
    for _ in range(arguments.rounds):
        in_one = _run(programs, environment, "program", arguments)
        in_two = _run(programs, environment, "split", arguments)
        only = {key[0] for key, found in in_two.items()
                if key[1] == "reference" and in_one[key].passed and not found.passed}  # fmt: skip
        again = {key: dataclasses.replace(program, unsplit=ONLY_IN_ONE_PROCESS)
                 for key, program in programs.items() if key[0] in only}  # fmt: skip
        in_two |= _run(again, environment, "split", arguments)
        were = [key for key, found in in_two.items() if not found.unsplit]
        whole["cpu_s"] += sum(in_one[key].cpu_s for key in were)  # type: ignore[assignment]
        split["cpu_s"] += sum(in_two[key].cpu_s for key in were)  # type: ignore[assignment]
    differing = [key for key in programs if _verdict(in_one[key]) != _verdict(in_two[key])]
    ratio = split["cpu_s"] / whole["cpu_s"]
    share = 100 * len(were) / len(programs)
    print(f"| {name} | {len(programs)} | {len(programs) - len(differing)} | {share:.1f} % | "
          f"{ratio:.2f} |", flush=True)  # fmt: skip
    for key in differing:
        print(f"    differs: {key}: {_verdict(in_one[key])} {_verdict(in_two[key])}")
    for reason, count in Counter(one.unsplit for one in in_two.values() if one.unsplit).items():
        print(f"    not split: {count}: {reason}")
    return len(differing)


def _run(
    programs: Mapping[Key, Program], environment: str, isolation: str, arguments: argparse.Namespace
) -> dict[Key, Execution]:
    by_environment: dict[str, list[Key]] = defaultdict(list)
    for key, program in programs.items():
        by_environment[program.environment or environment].append(key)
    found: dict[Key, Execution] = {}
    for name, keys in by_environment.items():
        with open_sandbox(
            arguments.sandbox, environment=name, workers=arguments.workers, isolation=isolation
        ) as sandbox:
            running = {key: sandbox.submit(programs[key], _LIMITS) for key in keys}
            found |= {key: future.result() for key, future in running.items()}
    return found


def _verdict(execution: Execution) -> tuple[bool, ...]:
    return tuple(str(verdict.status) == "passed" for verdict in execution.verdicts)


if __name__ == "__main__":
    raise SystemExit(main())
