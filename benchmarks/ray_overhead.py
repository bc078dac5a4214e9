"""What Ray costs: the same programs through the local pool and through Ray on one node.

Rounds alternate, so that both meet the same disturbances; printed are programs a second, the ratio,
the CPU time of this process, and how its memory grows with ten times the programs. Needs the extra
`ray`. For example: python benchmarks/ray_overhead.py --programs 2000 --rounds 5
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from pathlib import Path

from recode_eval.distributed.ray_executor import RayExecutor
from recode_eval.sandbox import Limits, Program, Sandbox, Test, open_router

LIMITS = Limits()
IN_FLIGHT = 4096
"""As many as the grader submits before it waits."""


def program(number: int) -> Program:
    """A small program, different from every other one."""
    code = f"def add(a, b):\n    return a + b + {number} - {number}\n"
    tests = tuple(Test(f"t{i}", f"assert add({i}, 1) == {i + 1}") for i in range(5))
    return Program("import math", code, tests)


def run(sandbox: Sandbox, programs: int) -> tuple[float, float]:
    """Return the wall time and this process's CPU time of so many programs."""
    started, cpu = time.perf_counter(), time.process_time()
    waiting = []
    for number in range(programs):
        waiting.append(sandbox.submit(program(number), LIMITS))
        if len(waiting) >= IN_FLIGHT:
            done = waiting.pop(0).result()
            assert done.passed, done
    for future in waiting:
        done = future.result()
        assert done.passed, done
    return time.perf_counter() - started, time.process_time() - cpu


def memory_mib() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--sandbox", default="landlock")
    parser.add_argument("--memory", action="store_true", help="the growth at ten times as many too")
    arguments = parser.parse_args()
    wanted = {"tier": arguments.sandbox, "workers": arguments.workers}
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    cpu: dict[str, list[float]] = {"local": [], "ray": []}
    with contextlib.ExitStack() as closing:
        sandboxes: dict[str, Sandbox] = {"local": closing.enter_context(open_router(**wanted))}
        executor = closing.enter_context(RayExecutor())
        sandboxes["ray"] = closing.enter_context(executor.open_sandbox(**wanted))
        for sandbox in sandboxes.values():
            run(sandbox, 200)
        for _ in range(arguments.rounds):
            for name, sandbox in sandboxes.items():
                wall, own = run(sandbox, arguments.programs)
                seconds[name].append(wall)
                cpu[name].append(own)
        for name, values in seconds.items():
            rate = arguments.programs / statistics.median(values)
            own = 1000 * statistics.median(cpu[name]) / arguments.programs
            spread = (max(values) - min(values)) / statistics.median(values)
            print(f"{name:6} {rate:7.1f} programs/s, {own:.2f} ms CPU of the driver each, "
                  f"spread {spread:.0%}")  # fmt: skip
        ratios = [b / a for a, b in zip(seconds["local"], seconds["ray"], strict=True)]
        print(f"ray / local: {statistics.median(ratios):.3f} (median of {len(ratios)} rounds, "
              f"{min(ratios):.3f} to {max(ratios):.3f})")  # fmt: skip
        if arguments.memory:
            before = memory_mib()
            run(sandboxes["ray"], arguments.programs)
            once = memory_mib()
            run(sandboxes["ray"], 10 * arguments.programs)
            print(f"driver: {before:.0f} MiB, after {arguments.programs} more {once:.0f}, "
                  f"after ten times as many {memory_mib():.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
