from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from waiting import wait_for

from recode_eval.sandbox import Limits, Program, Test, open_router
from recode_eval.sandbox.base import (
    SandboxClosedError,
    SandboxCrashError,
    SandboxUnavailableError,
)

pytestmark = pytest.mark.slow

LIMITS = Limits(cpu_s=2, wall_s=60, memory_bytes=256 << 20)
WANTED = {"tier": "landlock", "environment": "mini"}
OK = Program("", "x = 1", (Test("t", "assert x == 1"),))
PROGRAMS = [
    OK,
    Program("", "x = 2", (Test("a", "assert x == 1"), Test("b", "assert x == 2"))),
    Program("", "x = (", (Test("t", "pass"),)),
    Program("1 / 0", "", (Test("t", "pass"),)),
    Program("", "while True: pass", (Test("t", "pass"),)),
    Program("", "import os", (Test("t", "os._exit(3)"),)),
    Program("", "x = bytearray(1 << 30)", (Test("t", "pass"),)),
    Program("", "", tuple(Test(f"{i}", f"assert {i} % 2") for i in range(9))),
]


def sleeper(seconds: float) -> Program:
    return Program("", "import time", (Test("t", f"time.sleep({seconds})"),))


def open_it(cluster: Any, notes: list[str] | None = None, **wanted: Any) -> Any:
    from recode_eval.distributed.ray_sandbox import RaySandbox

    return RaySandbox(cluster, {**WANTED, **wanted}, (notes if notes is not None else []).append)


def only(cluster: Any, *node_ids: str) -> None:
    """Make a connection see some machines of the cluster only."""
    machines = type(cluster).machines
    cluster.machines = lambda: [m for m in machines(cluster) if m.id in node_ids]


def test_verdicts_are_those_of_the_local_pool(cluster: Any) -> None:
    with open_router(**WANTED) as local:
        expected = [local.submit(program, LIMITS).result() for program in PROGRAMS]
    with open_it(cluster) as sandbox:
        futures = [sandbox.submit(program, LIMITS) for program in PROGRAMS * 3]
        found = [future.result(120) for future in futures]
        info = sandbox.info
    for program, execution in enumerate(found):
        wanted = expected[program % len(PROGRAMS)]
        assert execution.verdicts != () or wanted.setup_error
        assert [(v.name, v.status, v.detail) for v in execution.verdicts] == [
            (v.name, v.status, v.detail) for v in wanted.verdicts
        ]
        assert execution.setup_error == wanted.setup_error
    assert info.workers == 3
    assert len(info.nodes) == 3
    assert {node["tier"] for node in info.nodes.values()} == {"landlock"}


def test_a_machine_lost_in_the_middle(
    nodes: Any, cluster: Any, extra_node: Callable[..., Any]
) -> None:
    node, notes = extra_node(), []
    with open_it(cluster, notes) as sandbox:
        futures = [sandbox.submit(sleeper(1), LIMITS) for _ in range(16)]
        (doomed,) = [n for n in sandbox._nodes if n.machine.id == node.node_id]
        wait_for(lambda: len(doomed.jobs) > 1, 60)
        nodes.remove_node(node, allow_graceful=False)
        assert all(future.result(180).passed for future in futures)
        wait_for(lambda: doomed not in sandbox._nodes, 150)  # it may be tried again first
        assert any("is lost" in note for note in notes)
        assert sandbox.submit(OK, LIMITS).result(60).passed


def test_a_killed_pool_is_started_again(cluster: Any) -> None:
    import ray

    notes: list[str] = []
    with open_it(cluster, notes) as sandbox:
        futures = [sandbox.submit(sleeper(0.5), LIMITS) for _ in range(12)]
        node = sandbox._nodes[0]
        wait_for(lambda: bool(node.jobs), 60)
        pid = ray.get(node.actor.place.remote()).pid
        os.kill(pid, signal.SIGKILL)
        assert all(future.result(180).passed for future in futures)
        wait_for(lambda: any("works again" in note for note in notes), 60)
        assert len(sandbox._nodes) == 3


def test_the_last_machine_lost(nodes: Any, cluster: Any, extra_node: Callable[..., Any]) -> None:
    """Nobody may wait for ever, and a lost cluster is no verdict."""
    node = extra_node()
    only(cluster, node.node_id)
    with open_it(cluster) as sandbox:
        futures = [sandbox.submit(sleeper(20), LIMITS) for _ in range(40)]
        wait_for(lambda: bool(sandbox._nodes[0].jobs), 60)
        nodes.remove_node(node, allow_graceful=False)
        for future in futures:
            assert isinstance(future.exception(120), SandboxUnavailableError)
        late = sandbox.submit(OK, LIMITS)
        assert isinstance(late.exception(1), SandboxUnavailableError)


def test_a_program_that_takes_machines_with_it_is_given_up(cluster: Any) -> None:
    import ray

    with open_it(cluster) as sandbox:
        future = sandbox.submit(sleeper(30), LIMITS)
        killed: set[int] = set()
        while not future.done():
            for node in list(sandbox._nodes):
                if node.jobs:
                    # One that was killed keeps its job until the sandbox has noticed.
                    with contextlib.suppress(ray.exceptions.RayActorError):
                        pid = ray.get(node.actor.place.remote(), timeout=60).pid
                        if pid not in killed:
                            killed.add(pid)
                            os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        assert isinstance(future.exception(), SandboxCrashError)
        assert len(killed) == 2
        assert sandbox.submit(OK, LIMITS).result(120).passed


def test_a_machine_with_a_weaker_tier_is_left_out(
    cluster: Any, extra_node: Callable[..., Any], tmp_path: Any
) -> None:
    """One run, one tier: mixing them in silence would mix verdicts."""
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("sh", "cat", "ps", "hostname"):
        (bare / name).symlink_to(shutil.which(name) or "/bin/sh")
    node = extra_node(env_vars={"DOCKER_HOST": "unix:///nowhere.sock", "PATH": str(bare)})
    notes: list[str] = []
    with open_it(cluster, notes, tier="auto") as sandbox:
        assert sandbox.info.tier == "bubblewrap"
        assert node.node_id not in {n.machine.id for n in sandbox._nodes}
        (left_out,) = [note for note in notes if "a run uses one kind" in note]
        assert node.node_id[:8] in left_out
        assert sandbox.submit(OK, LIMITS).result(60).passed
    only(cluster, node.node_id)
    with open_it(cluster, tier="auto") as sandbox:
        assert sandbox.info.tier == "landlock"


def test_a_machine_that_is_dead_but_still_listed(
    nodes: Any, cluster: Any, extra_node: Callable[..., Any]
) -> None:
    """Ray notices a power cut after seconds: opening a pool there once ended the whole run."""
    node = extra_node()
    listed = cluster.machines()
    nodes.remove_node(node, allow_graceful=False)
    cluster.machines = lambda: listed
    notes: list[str] = []
    with open_it(cluster, notes) as sandbox:
        assert len(sandbox._nodes) == 3
        assert any(node.node_id[:8] in note for note in notes)


def test_no_machine_has_the_tier(cluster: Any) -> None:
    with pytest.raises(SandboxUnavailableError, match=r"no machine .* has a sandbox .*Docker"):
        open_it(cluster, tier="docker")


def test_closing_ends_what_waits(cluster: Any) -> None:
    sandbox = open_it(cluster)
    futures = [sandbox.submit(sleeper(20), LIMITS) for _ in range(60)]
    cancelled = futures[-1].cancel()
    wait_for(lambda: all(node.jobs for node in sandbox._nodes), 60)
    sandbox.close()
    sandbox.close()
    for future in futures[:-1] if cancelled else futures:
        assert isinstance(future.exception(1), SandboxClosedError)
    assert isinstance(sandbox.submit(OK, LIMITS).exception(1), SandboxClosedError)
    assert not [t for t in threading.enumerate() if t.name == "ray-sandbox" and t.is_alive()]
