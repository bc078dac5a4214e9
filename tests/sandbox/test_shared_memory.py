"""Shared memory counts as memory, as mappings and as files; nothing of it is left for the next."""

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


FILES = """
import os, time
held = []
for number in range({mib} // 15):
    held.append(os.open(f'/dev/shm/{{number}}', os.O_CREAT | os.O_RDWR))
    os.write(held[-1], bytes(15 << 20))
own = bytearray(150 << 20)
time.sleep({pause})
"""
NEXT = """
import os
space = os.statvfs('/dev/shm')
assert os.listdir('/dev/shm') == [] and space.f_bfree == space.f_blocks, os.listdir('/dev/shm')
assert oct(os.stat('/dev/shm').st_mode) == '0o41777' and not os.listxattr('/dev/shm')
"""


@pytest.mark.parametrize(
    "tier", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap", "landlock"]
)
def test_files_of_shared_memory_count_and_go(opener: Callable[..., Sandbox], tier: str) -> None:
    """`/dev/shm` is new to programs: what it holds would be nobody's, mapped or not."""

    def status(code: str) -> Status:
        program = Program("", "", (Test("t", code),))
        return sandbox.submit(program, LIMITS).result(60).verdicts[0].status

    with opener(tier, workers=1) as sandbox:
        if status(NEXT) is not Status.PASSED:
            pytest.skip(f"no /dev/shm on the tier {tier} of this machine")
        assert status(FILES.format(mib=150, pause=20)) is Status.MEMORY
        assert status(NEXT) is Status.PASSED
        assert status(FILES.format(mib=30, pause=1)) is Status.PASSED
        assert status(NEXT) is Status.PASSED
