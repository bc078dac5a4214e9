"""A real Ray cluster of three nodes on this machine, one CPU each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="session")
def nodes() -> Iterator[Any]:
    """The cluster; its `address` is for `--ray-address`.

    Its machines cannot reach a Docker daemon: the tests of the sandbox want a tier that starts
    fast, and one that a single node can be made to lack.
    """
    pytest.importorskip("ray", reason="needs pip install 'recode-eval[ray]'")
    from ray.cluster_utils import Cluster

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
    from recode_eval.executors.cluster import Cluster

    with Cluster(nodes.address) as connection:
        yield connection
