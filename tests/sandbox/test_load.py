"""A busy machine gives the same verdicts: CPU time decides, and waiting for a processor is free."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox import Limits, Program, Sandbox, Status, Test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.alone

LIMITS = Limits(cpu_s=1, wall_s=3)
BURN = """
import os, time

def burn(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
"""
IN_CHILD = "if os.fork() == 0:\n    burn(3)\n    os._exit(0)\nos.wait()"
PASS, LATE = Status.PASSED, Status.TIMEOUT
CASES: list[tuple[tuple[str, ...], tuple[Status, ...]]] = [
    *[(("burn(0.4)",), (PASS,))] * 3,
    *[(("burn(3)",), (LATE,))] * 2,
    (("burn(0.8)", "burn(0.8)", "burn(0.8)"), (PASS, PASS, PASS)),
    (("burn(0.4)", "burn(3)", "burn(0.4)"), (PASS, LATE, PASS)),
    # Over the limit, but done before the supervisor looks: how soon it looks depends on the load.
    (("burn(1.02)",) * 5, (LATE,) * 5),
    ((IN_CHILD,), (LATE,)),
    (("time.sleep(1.5)",), (PASS,)),
    (("time.sleep(60)",), (LATE,)),
    (("burn(0.4)\nassert False",), (Status.FAILED,)),
]


@contextmanager
def all_cores_busy() -> Iterator[None]:
    """Twice as many processes as cores that do nothing but compute."""
    count = 2 * len(os.sched_getaffinity(0))
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)
    ]  # fmt: skip
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def verdicts(sandbox: Sandbox) -> list[tuple[Status, ...]]:
    futures = [
        sandbox.submit(
            Program(BURN, "", tuple(Test(str(n), code) for n, code in enumerate(tests))), LIMITS
        )
        for tests, _ in CASES
    ]
    return [tuple(v.status for v in future.result().verdicts) for future in futures]


@pytest.mark.slow
def test_a_busy_machine_gives_the_same_verdicts(tier: str, opener: Callable[..., Sandbox]) -> None:
    expected = [statuses for _, statuses in CASES]
    with opener(tier, workers=2) as sandbox:
        assert verdicts(sandbox) == expected
        with all_cores_busy():
            assert verdicts(sandbox) == expected
