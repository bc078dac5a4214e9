"""Shared memory counts as memory in the tiers that watch it: no one process holds all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox import Limits, Program, Status, Test

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.sandbox import Sandbox

LIMITS = Limits(cpu_s=20, wall_s=30, memory_bytes=256 << 20, processes=16)

CHILDREN = """
import mmap, os, time
for _ in range(6):
    if os.fork() == 0:
        block = mmap.mmap(-1, {size} << 20)
        for offset in range(0, len(block), 4096):
            block[offset] = 1
        time.sleep({pause})
        os._exit(0)
for _ in range(6):
    os.wait()
"""


@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
def test_shared_memory_of_children_counts(opener: Callable[..., Sandbox], tier: str) -> None:
    """Attack: a shared mapping in each child; only private memory was added up."""
    too_much = Program("", "", (Test("t", CHILDREN.format(size=100, pause=20)),))
    little = Program("", "", (Test("t", CHILDREN.format(size=20, pause=1)),))
    with opener(tier, workers=1) as sandbox:
        (verdict,) = sandbox.submit(too_much, LIMITS).result(60).verdicts
        assert verdict.status is Status.MEMORY, verdict
        (verdict,) = sandbox.submit(little, LIMITS).result(60).verdicts
        assert verdict.status is Status.PASSED, verdict
