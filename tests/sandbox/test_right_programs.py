"""What people write must pass: the programs of `right_programs`, on every tier, split or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import OLD_PYTHON, open_or_skip
from sandbox.right_programs import RIGHT_PROGRAMS, program

from recode_eval.sandbox import Limits

if TYPE_CHECKING:
    from recode_eval.sandbox import Execution

LIMITS = Limits(cpu_s=30, wall_s=60, memory_bytes=2 << 30)
OPTIONAL = {"pictures of matplotlib": "matplotlib"}
"""Programs that only an environment with this library can run."""


def failures(found: dict[str, Execution]) -> list[str]:
    """The programs that did not pass, with what their tests say."""
    return [
        f"{name}: {execution.setup_error or [(v.status.value, v.detail) for v in execution.verdicts]}"
        f" {execution.output[-300:]}"
        for name, execution in found.items()
        if not execution.passed
    ]


def test_there_are_enough_and_each_tests_something() -> None:
    assert len(RIGHT_PROGRAMS) >= 60
    for name, text in RIGHT_PROGRAMS.items():
        tests = program(text).tests
        assert tests, name
        assert all("assert" in test.code for test in tests), name


@pytest.mark.parametrize("isolation", ["program", "split"])
@pytest.mark.parametrize("environment", ["mini", pytest.param(OLD_PYTHON, marks=pytest.mark.slow)])
def test_right_programs_pass(tier: str, isolation: str, environment: str) -> None:
    """Threads, shared memory, scripts and files in /tmp failed, on some tiers or on all."""
    with open_or_skip(tier, environment=environment, isolation=isolation, workers=2) as sandbox:
        libraries = sandbox.info.libraries
        waiting = {
            name: sandbox.submit(program(text), LIMITS)
            for name, text in RIGHT_PROGRAMS.items()
            if OPTIONAL.get(name, "numpy") in libraries
        }
        told = failures({name: future.result(300) for name, future in waiting.items()})
    assert not told, "\n".join(told)
