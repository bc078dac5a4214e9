"""Faults of the machine around JavaScript programs; those of containers are in `test_faults`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from daemons import children
from sandbox.conftest import open_or_skip
from sandbox.test_node import run, statuses
from waiting import wait_for

from recode_eval.sandbox import Limits, Program, Status, Test, landlock, pool
from recode_eval.sandbox.base import SandboxCrashError, SandboxUnavailableError
from recode_eval.sandbox.runtimes import node_runtimes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox.pool import Pool

LIMITS = Limits(cpu_s=5, wall_s=30, memory_bytes=512 << 20)
OK = Program("", "const x = 1", (Test("t", "assert.equal(x, 1)"),), language="javascript")
SLEEP = Program(
    "",
    "const sleep = (ms) => new Promise((done) => setTimeout(done, ms))",
    (Test("t", "await sleep(1500)"), Test("u", "assert.ok(sleep)")),
    language="javascript",
)


@pytest.fixture(params=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with open_or_skip(request.param, environment="node", workers=1) as opened:
        yield opened


def line(sandbox: Pool) -> list[int]:
    """The processes of the worker, from the supervisor down to what runs the program."""
    pids = [sandbox._current[0]._link.pid]
    while below := children(pids[-1]):
        pids.append(below[-1])
    return pids


def of_node(pid: int) -> bool:
    return b"runner.cjs" in Path(f"/proc/{pid}/cmdline").read_bytes()


def standing_by(sandbox: Pool) -> int:
    """The process that waits for the next program."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid in line(sandbox)[-1:] if of_node(pid)]
        return bool(found)

    wait_for(there)
    return found[0]


def test_node_killed_while_a_test_runs(sandbox: Pool) -> None:
    """The test in hand has crashed, as if it had done that; the others run in a new process."""
    assert sandbox.submit(OK, LIMITS).result(60).passed
    program = standing_by(sandbox)
    future = sandbox.submit(SLEEP, LIMITS)
    time.sleep(0.5)
    os.kill(program, signal.SIGKILL)
    assert statuses(future.result(60)) == [Status.CRASHED, Status.PASSED]
    assert sandbox.submit(OK, LIMITS).result(60).passed


def test_node_killed_while_it_waits_for_a_program(sandbox: Pool) -> None:
    assert sandbox.submit(OK, LIMITS).result(60).passed
    for _ in range(3):
        os.kill(standing_by(sandbox), signal.SIGKILL)
        assert sandbox.submit(OK, LIMITS).result(60).passed


def test_other_limits_get_another_process(sandbox: Pool) -> None:
    """A process that stands by has the limits of the program before."""
    assert sandbox.submit(OK, LIMITS).result(60).passed
    standing_by(sandbox)
    heap = "require('node:v8').getHeapStatistics().heap_size_limit"
    small = Limits(cpu_s=5, wall_s=30, memory_bytes=200 << 20)
    assert run(sandbox, "", f"assert.ok({heap} < 400e6, `${{{heap}}}`)", limits=small).passed
    assert run(sandbox, "", f"assert.ok({heap} > 600e6, `${{{heap}}}`)", limits=LIMITS).passed


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.slow
def test_supervisor_spawner_and_zygote_killed(sandbox: Pool, depth: int) -> None:
    assert sandbox.submit(OK, LIMITS).result(60).passed
    future = sandbox.submit(SLEEP, LIMITS)
    time.sleep(0.5)
    pids = line(sandbox)
    own = [pid for pid in pids if not of_node(pid)]
    os.kill(own[-3:][depth], signal.SIGKILL)
    assert future.result(90).passed
    assert sandbox.submit(OK, LIMITS).result(60).passed


def broken_node(folder: Path) -> Path:
    """What says which version it is, and does nothing else."""
    path = folder / "node"
    path.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo v24.0.0 && exit\necho 'Error: x' >&2\n"
    )
    path.chmod(0o755)
    return path


def test_a_node_that_does_not_start_is_no_failure_of_the_program(public_folder: Path) -> None:
    path = str(broken_node(public_folder))
    launcher = landlock.LandlockLauncher(node_runtimes(path, "", {}, (str(public_folder),)))
    with (
        pool.Pool(launcher, workers=1, isolation="program") as sandbox,
        pytest.raises(SandboxCrashError, match=r"did not start.*Error: x"),
    ):
        sandbox.submit(OK, LIMITS).result(60)


def test_a_sandbox_without_node_does_not_open(public_folder: Path) -> None:
    launcher = landlock.LandlockLauncher(node_runtimes(f"{public_folder}/node", "", {}))
    with pytest.raises(SandboxUnavailableError, match="node does not start in the sandbox"):
        pool.Pool(launcher, workers=1, isolation="program")
