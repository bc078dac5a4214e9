"""Fifteen hundred programs in a row, good and bad ones: memory stays flat, nothing is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import sandbox_endurance

from recode_eval.sandbox import open_sandbox

pytestmark = pytest.mark.alone

PROGRAMS = 1500


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_stays_flat_and_nothing_is_left() -> None:
    known = sandbox_endurance.below(os.getpid())  # those of other tests in this process
    with open_sandbox("docker", workers=2) as sandbox:
        outcome = sandbox_endurance.run(sandbox, PROGRAMS, seed=2)
        tops = sandbox_endurance.supervisors()
    outcome.left = sandbox_endurance.left_behind(tops, known=known)
    print("\n".join(sandbox_endurance.lines(outcome)))
    assert sum(outcome.kinds.values()) == PROGRAMS
    assert len(outcome.kinds) == 16, "not every kind of program was run"
    assert all(point.workers > 0 for point in outcome.points)
    assert outcome.problems() == []
