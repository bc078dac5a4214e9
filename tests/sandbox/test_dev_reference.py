"""Every reference solution of the real rows gets the verdicts that were measured elsewhere.

`test_arena_reference.py` grades all rows in one isolation mode. Here the other mode must agree, for
a part of the rows each time and for all in the exhaustive tests, which go to the other tiers too:
they run the same supervisor.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from development_rows import ENDLESS, HEAVY

from recode_eval.sandbox import Limits, Status
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recode_eval.sandbox import Execution, Sandbox

    Results = dict[tuple[str, str], Execution]

EXPECTED = {"pass": Status.PASSED, "fail": Status.FAILED, "timeout": Status.TIMEOUT}
ISOLATIONS_DIFFER: dict[tuple[str, str], str] = {}
"""(row, condition) -> why the tests of one process see each other there. No row does."""
LIMITS = Limits(cpu_s=15, wall_s=120)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("share", [pytest.param(1, marks=pytest.mark.exhaustive), 10])
def test_isolations_agree(share: int, shared_data: Path, opener: Callable[..., Sandbox]) -> None:
    """Test by test; of a tenth of the rows, those that only burn time are left out."""
    leave_out = HEAVY if share > 1 else frozenset()
    with opener("docker", environment="arena") as sandbox:
        together = run_references(sandbox, shared_data, leave_out, share)
    with opener("docker", environment="arena", isolation="test") as sandbox:
        apart = run_references(sandbox, shared_data, leave_out, share)
    assert len(together) == len(apart) == 2 * len(range(0, 298 - len(leave_out), share))
    different = {
        key: (summary(together[key]), summary(apart[key]))
        for key in together
        if summary(together[key]) != summary(apart[key])
    }
    assert different.keys() == ISOLATIONS_DIFFER.keys(), different
    assert differences(together, shared_data) == []
    assert differences(apart, shared_data) == []


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
def test_reference_verdicts(tier: str, shared_data: Path, opener: Callable[..., Sandbox]) -> None:
    with opener(tier, environment="arena") as sandbox:
        results = run_references(sandbox, shared_data, leave_out=HEAVY)
    assert len(results) == 2 * (298 - len(HEAVY))
    assert differences(results, shared_data) == []


def run_references(
    sandbox: Sandbox,
    shared_data: Path,
    leave_out: frozenset[str] | set[str] = frozenset(),
    share: int = 1,
) -> Results:
    """Run one row of `share` with and without its update; the longest first: no core waits."""
    task = create_task("arena")
    loaded = task.load(str(shared_data / "codeupdatearena" / "dev.jsonl")).problems
    problems = [problem for problem in loaded if problem.id not in leave_out][::share]
    futures = {
        (problem.id, condition): sandbox.submit(
            program, replace(LIMITS, cpu_s=8) if problem.id == ENDLESS else LIMITS
        )
        for problem in sorted(problems, key=lambda one: one.id not in HEAVY)
        for condition, program in task.programs(problem, problem.payload.ref_solution).items()
    }
    return {key: future.result() for key, future in futures.items()}


def summary(execution: Execution) -> object:
    return execution.setup_error or [(v.name, v.status) for v in execution.verdicts]


def differences(results: Results, shared_data: Path) -> list[object]:
    """Where verdicts are not those of the measurement that came with the rows."""
    measured = json.loads(
        (shared_data / "codeupdatearena" / "dev.reference_results.json").read_text("utf-8")
    )
    found: list[object] = []
    for (problem, condition), execution in results.items():
        if execution.setup_error is not None:
            found.append((problem, condition, execution.setup_error))
            continue
        assert [verdict.name for verdict in execution.verdicts] == measured[problem]["tests"]
        for expected, verdict in zip(measured[problem][condition], execution.verdicts, strict=True):
            unclear = expected == "timeout" and problem in HEAVY
            if not unclear and verdict.status is not EXPECTED[expected]:
                found.append((problem, condition, verdict.name, expected, verdict))
    return found
