"""Every reference solution of the real rows gets the verdicts that were measured elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox import Limits, Status
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recode_eval.sandbox import Execution, Sandbox

EXPECTED = {"pass": Status.PASSED, "fail": Status.FAILED, "timeout": Status.TIMEOUT}
HEAVY = {
    "[numpy.mean]:[modify-argument-supported_value(s)]:[update-0]:[prog_syn-2]",
    "[numpy.dot]:[add-output-data_type]:[update-0]:[prog_syn-1]",
    "[torch.bmm]:[add-argument]:[update-0]:[prog_syn-1]",
    "[itertools.product]:[modify-function-name]:[update-0]:[prog_syn-0]",
    "[numpy.zeros]:[modify-function-name]:[update-0]:[prog_syn-0]",
    "[numpy.zeros]:[add-argument-semantics]:[update-0]:[prog_syn-2]",
}
"""Rows whose reference needs more time or memory than the limits: a slower or faster machine, or
another limit of memory, gives other verdicts for the tests that hit a limit in the measurement."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("isolation", ["program", "test"])
@pytest.mark.parametrize(
    "tier", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap", "landlock"]
)
def test_reference_verdicts(
    tier: str, isolation: str, shared_data: Path, opener: Callable[..., Sandbox]
) -> None:
    folder = shared_data / "codeupdatearena"
    task = create_task("arena")
    problems = task.load(str(folder / "dev.jsonl")).problems
    measured = json.loads((folder / "dev.reference_results.json").read_text(encoding="utf-8"))
    limits = Limits(cpu_s=15, wall_s=60)
    with opener(tier, environment="arena", isolation=isolation) as sandbox:
        futures = {
            (problem.id, condition): sandbox.submit(program, limits)
            for problem in problems
            for condition, program in task.programs(problem, problem.payload.ref_solution).items()
        }
        results = {key: future.result() for key, future in futures.items()}
    assert len(results) == 2 * 298
    differences = [
        (key, difference)
        for key, execution in results.items()
        for difference in _differences(key[0], measured[key[0]], key[1], execution)
    ]
    assert not differences


def _differences(
    problem: str, measured: dict[str, list[str]], condition: str, execution: Execution
) -> list[str]:
    if execution.setup_error is not None:
        return [f"set-up: {execution.setup_error}"]
    found = []
    names = [verdict.name for verdict in execution.verdicts]
    if names != measured["tests"]:
        return [f"other tests: {names}"]
    for expected, verdict in zip(measured[condition], execution.verdicts, strict=True):
        if expected == "timeout" and problem in HEAVY:
            continue
        if verdict.status is not EXPECTED[expected]:
            found.append(f"{verdict.name}: {expected} before, now {verdict.status}")
    return found
