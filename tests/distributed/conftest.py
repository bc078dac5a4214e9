"""A real Ray cluster of three nodes on this machine, one CPU each."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbox.daemons import children

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """The cluster; its `address` is for `--ray-address`.

    It ends with the module: its processes are children of the tests' own, and other tests look
    whether any child is left.

    Its machines cannot reach a Docker daemon: the tests of the sandbox want a tier that starts
    fast, and one that a single node can be made to lack.
    """
    pytest.importorskip("ray", reason="needs pip install 'recode-eval[ray]'")
    from ray.cluster_utils import Cluster

    before = set(children(os.getpid()))
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_DEDUP_LOGS", "0")
    patch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    parts = str(Path(__file__).parent)
    patch.setenv("PYTHONPATH", os.pathsep.join([parts, os.environ.get("PYTHONPATH", "")]))
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(**NODE)
        patch.undo()
        yield cluster
    finally:
        patch.undo()
        cluster.shutdown()
        _collect_children(before)


def _collect_children(before: set[int], seconds: float = 30) -> None:
    """Wait until what the cluster started is gone; Ray does not collect what it has killed."""
    gc.collect()
    deadline = time.monotonic() + seconds
    while set(children(os.getpid())) - before:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        assert time.monotonic() < deadline, "Ray has left processes behind"
        time.sleep(0.1)


@pytest.fixture
def extra_node(nodes: Any) -> Iterator[Callable[..., Any]]:
    """Adds a node for one test; `remove` is as sudden as a power cut."""
    added = []

    def add(**options: Any) -> Any:
        options = {"env_vars": {"DOCKER_HOST": "unix:///nowhere.sock"}, **NODE, **options}
        added.append(nodes.add_node(**options))
        return added[-1]

    yield add
    for node in added:
        if node in nodes.list_all_nodes():
            nodes.remove_node(node, allow_graceful=False)


@pytest.fixture
def cluster(nodes: Any) -> Iterator[Any]:
    """A connection to the cluster."""
    from recode_eval.distributed.cluster import Cluster

    with Cluster(nodes.address) as connection:
        yield connection
