"""The connection to a Ray cluster: its machines, the actors on them, and Ray's errors as ours.

Placement, resources and the news that a machine is lost are Ray's. What is asked for: a replica of
a model reserves its GPUs and CPUs on any machine, a sandbox the rest of one machine's CPUs.
"""

from __future__ import annotations

import math
import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval import __version__
from recode_eval.distributed.node import NodeSandbox, Replica
from recode_eval.errors import InfrastructureError, RecodeError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from recode_eval.distributed.node import ActorLocation

_RESERVE_S: Final = 300.0
"""How long replicas may wait for their resources: a cluster may have to add machines first."""
_START_S: Final = 120.0
_KNOCK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of the cluster, as Ray counts it."""

    id: str
    host: str
    cpus: int
    gpus: int

    @property
    def label(self) -> str:
        """Name for notes and the manifest; several nodes of one host stay apart."""
        return f"{self.host} ({self.id[:8]})"


class Cluster:
    """A connection to Ray; a context manager that ends what it started."""

    def __init__(self, address: str | None = None) -> None:
        """Connect; without an address to RAY_ADDRESS, else a cluster of this machine is started.

        Raises:
            UsageError: Ray is not installed, or the address is one of Ray's client server.
            InfrastructureError: nobody answers there.
        """
        ray = _import_ray()
        address = address or os.environ.get("RAY_ADDRESS")
        if address and address.startswith("ray://"):
            raise UsageError(
                f"--ray-address {address}: recode-eval does not support Ray's client. Run the "
                "command on a machine of the cluster, with --ray-address auto."
            )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._replicas: dict[Any, tuple[str, int]] = {}
        self._lock = threading.Lock()
        self._owner = not ray.is_initialized()
        if not self._owner:
            return
        options: dict[str, Any] = {} if address else {"include_dashboard": False}
        try:
            _knock(address)
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level="error",
                **options,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
            where = f"at {address}" if address else "on this machine"
            raise InfrastructureError(
                f"No Ray cluster {where}: {_first_line(error)}. Start one with `ray start --head`, "
                "or leave out --ray-address to use this machine only."
            ) from error

    def machines(self) -> list[Machine]:
        """Return the machines that are alive, in a fixed order."""
        import ray

        found = []
        for node in ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                cpus, gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
                found.append(Machine(node["NodeID"], node["NodeManagerHostname"], cpus, gpus))
        return sorted(found, key=lambda machine: (machine.host, machine.id))

    def free_cpus(self, machine: Machine) -> int:
        """Return the CPUs that no replica of ours has."""
        with self._lock:
            taken = sum(cpus for there, cpus in self._replicas.values() if there == machine.id)
        return max(0, machine.cpus - taken)

    def start_replica(self, *, cpus: float, gpus: float, wait_s: float = _RESERVE_S) -> Any:
        """Return an actor of `Replica`, once its resources are there; nothing is loaded yet.

        Raises `InfrastructureError` naming what the cluster lacks.
        """
        import ray

        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_concurrency": 2}
        actor = ray.remote(Replica).options(scheduling_strategy="SPREAD", **options).remote()
        try:
            place = self._where(actor, wait_s)
        except ray.exceptions.GetTimeoutError as error:
            ray.kill(actor)
            has = ray.cluster_resources()
            raise InfrastructureError(
                f"A replica of the model needs {cpus:g} CPUs and {gpus:g} GPUs on one machine; no "
                f"machine had them free for {wait_s:g} s (the cluster has {has.get('CPU', 0):g} "
                f"CPUs and {has.get('GPU', 0):g} GPUs). Lower --replicas or add machines."
            ) from error
        with self._lock:
            self._replicas[actor] = place.node, math.ceil(cpus)
        return actor

    def start_sandbox(self, machine: Machine, workers: int) -> Any:
        """Return an actor of `NodeSandbox` on this very machine; raises `InfrastructureError`."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(machine.id, soft=False)
        cpus = max(1, min(workers, self.free_cpus(machine)))
        remote = ray.remote(NodeSandbox).options(num_cpus=cpus, scheduling_strategy=there)
        actor = remote.remote()
        try:
            self._where(actor, _START_S)
        except ray.exceptions.GetTimeoutError as error:
            ray.kill(actor)
            raise InfrastructureError(
                f"{machine.label} does not have {cpus} free CPUs; other jobs on the cluster hold "
                "them."
            ) from error
        return actor

    def _where(self, actor: Any, wait_s: float) -> ActorLocation:
        """Wait until an actor is up; raises `UsageError` if it runs another release of us."""
        import ray

        try:
            with translated(f"an actor could not start (is recode-eval {__version__} there?)"):
                found: ActorLocation = ray.get(actor.place.remote(), timeout=wait_s)
        except ray.exceptions.GetTimeoutError:
            raise
        except lost() as error:  # Ray lists a dead machine for some seconds still.
            raise InfrastructureError(
                f"the machine was lost while an actor started on it: {_first_line(error)}"
            ) from error
        if found.version != __version__:
            ray.kill(actor)
            raise UsageError(
                f"{found.host} has recode-eval {found.version}, this machine has {__version__}; "
                "install the same release on every machine."
            )
        return found

    def release(self, actor: Any) -> None:
        """End an actor; what it had reserved is free again."""
        import ray

        with self._lock:
            self._replicas.pop(actor, None)
        with suppress(Exception):  # It may be gone already, with its machine.
            ray.kill(actor)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends. Idempotent."""
        import ray

        if self._owner and ray.is_initialized():
            ray.shutdown()

    def __enter__(self) -> Cluster:
        """Return this."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class translated:  # noqa: N801 - used like a function
    """Turns what an actor raised into our error of the same kind, without Ray's traceback.

    Errors that say that the actor or its machine is lost, and time-outs, pass through.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Raise the translation."""
        import ray

        if isinstance(exc, ray.exceptions.RayTaskError):
            cause = exc.cause
            if isinstance(cause, RecodeError):
                raise type(cause)(str(cause)) from None
            name = type(cause).__name__
            raise InfrastructureError(f"{self._what}: {name}: {_first_line(cause)}") from None


def lost() -> tuple[type[BaseException], ...]:
    """Return the errors that say that an actor or its machine is gone, or of no use any more.

    They are all of Ray's own: what an actor raised has been `translated` before, and who waits for
    a limited time handles `GetTimeoutError` first.
    """
    from ray import exceptions

    return (exceptions.RayError,)


def troubles() -> tuple[type[BaseException], ...]:
    """Return `lost` and this package's own errors: all that a machine may answer with."""
    return (RecodeError, *lost())


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise UsageError("--executor ray needs Ray: pip install 'recode-eval[ray]'") from error
    return ray


def _knock(address: str | None) -> None:
    """Raise `OSError` if nobody listens at HOST:PORT: Ray itself would try for many minutes."""
    host, separator, port = (address or "").rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
