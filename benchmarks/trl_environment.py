"""What tools and rewards of `recode_eval.trl_environment` cost beside the model: no model is asked.

    python benchmarks/trl_environment.py                  # half a minute
    python benchmarks/trl_environment.py --sandbox landlock --workers 2 --calls 100

TRL calls the tools of a batch one after another, and `get_reward` too; a reward function grades
the whole batch at once. So a call's milliseconds, times the calls of a batch, are what a generation
waits. Medians over `--calls`; the sandbox is warm and the problems' limits are measured.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from typing import TYPE_CHECKING, Any

from recode_eval import SandboxOptions, load_task, trl_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TASK = "arena-mini"
BATCH = 32


def milliseconds(do: Callable[[], Any], times: int) -> float:
    """Return the median of so many calls."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        do()
        found.append(1000 * (time.perf_counter() - started))
    return statistics.median(found)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each tool and each way to a reward."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calls", type=int, default=100)
    arguments = parser.parse_args(argv)
    options = SandboxOptions(tier=arguments.sandbox, workers=arguments.workers)
    task = load_task(TASK)
    budgets: dict[str, Any] = {"tool_calls": 10_000, "tool_seconds": 86_400.0}
    environments = trl_environment(task, turns=20, sandbox=options, **budgets)
    rollouts: list[Any] = [environments() for _ in range(BATCH)]
    for rollout, problem in zip(rollouts, task.problems * BATCH, strict=False):
        rollout.reset(problem_id=problem.id)
        rollout.submit(code="x = 1")
    one = rollouts[0]

    def submit() -> None:
        one.reset(problem_id=task.problems[0].id)
        one.submit(code="x = 1")

    def batch() -> None:
        # Other programs each time: equal ones run once.
        for number, rollout in enumerate(rollouts):
            rollout.session.answer = f"x = {number}"
        environments.reward(completions=rollouts, environments=rollouts)

    print(f"{platform.machine()}, {arguments.workers} workers, {arguments.sandbox}; ms")
    print(f"run         {milliseconds(lambda: one.run(code='print(6 * 7)'), arguments.calls):8.1f}")
    print(f"read        {milliseconds(lambda: one.read(name='json'), arguments.calls):8.1f}")
    print(f"submit      {milliseconds(submit, arguments.calls):8.1f}")
    print(f"get_reward  {milliseconds(one.get_reward, arguments.calls):8.1f}")
    many = milliseconds(batch, max(1, arguments.calls // 10)) / BATCH
    print(f"reward      {many:8.1f}  each of {BATCH} at once")
    environments.close()


if __name__ == "__main__":
    main()
