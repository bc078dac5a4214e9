"""A `Sandbox` whose programs run on all machines of a cluster, one pool on each.

Every machine has a thread here that hands over programs and takes back verdicts, a bounded number
at a time; what was on a machine that is lost runs again on another one. All machines have one tier,
one Python and the same libraries: others are left out, and the caller is told.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from recode_eval.distributed.cluster import translated, troubles
from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.sandbox.base import (
    SandboxClosedError,
    SandboxCrashError,
    SandboxError,
    SandboxInfo,
    SandboxUnavailableError,
)
from recode_eval.sandbox.factory import TIERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from recode_eval.distributed.cluster import Cluster, Machine
    from recode_eval.distributed.node import Outcome, Ticket
    from recode_eval.sandbox.base import Execution, Limits, Program

MAX_LOSSES: Final = 2
"""A program that was on so many machines when they were lost may be the reason: it is given up."""
_RESTARTS: Final = 3
"""How often the pool of a machine that still lives is started again."""
_AHEAD: Final = 8
"""Programs per worker that a machine is given ahead, so that no worker waits for a message."""
_IDLE_WAIT_S: Final = 0.05
_BUSY_WAIT_S: Final = 1.0
_JOIN_S: Final = 30.0


@dataclass(slots=True)
class _Job:
    """A program, and how many machines were lost under it."""

    future: Future[Execution]
    program: Program
    limits: Limits
    losses: int = 0


@dataclass(slots=True)
class _Node:
    """One machine with its pool; `jobs` are there now."""

    machine: Machine
    actor: Any
    info: SandboxInfo
    environments: int = 0
    """How many of its environments are known here."""
    restarts: int = 0
    jobs: dict[int, _Job] = field(default_factory=dict)

    @property
    def room(self) -> int:
        return _AHEAD * (self.info.workers + 1) - len(self.jobs)


class RaySandbox:
    """Follows `Sandbox`; thread-safe."""

    def __init__(
        self, cluster: Cluster, wanted: Mapping[str, Any], log: Callable[[str], None]
    ) -> None:
        """Open the pools; `wanted` are the arguments of `open_router`, `workers` those per machine.

        Raises:
            SandboxUnavailableError: no machine has a sandbox.
            UsageError: what is wanted does not exist.
        """
        self._cluster = cluster
        self._wanted = dict(wanted)
        self._log = log
        self._lock = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._serial = 0
        self._closed = False
        self._gone: SandboxError | None = None
        self._environments: dict[str, Mapping[str, Any]] = {}
        self._used: dict[str, dict[str, Any]] = {}
        self._nodes = self._open_all()
        self._info = replace(
            self._nodes[0].info, workers=sum(node.info.workers for node in self._nodes)
        )
        self._threads = [
            threading.Thread(target=self._serve, args=(node,), name="ray-sandbox", daemon=True)
            for node in self._nodes
        ]
        for thread in self._threads:
            thread.start()

    @property
    def info(self) -> SandboxInfo:
        """What all machines have in common; `nodes` has each one that graded something."""
        with self._lock:
            return replace(
                self._info, environments=dict(self._environments), nodes=dict(self._used)
            )

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        """Queue a program; see `Sandbox.submit`."""
        future: Future[Execution] = Future()
        with self._lock:
            refusal = SandboxClosedError("the sandbox is closed") if self._closed else self._gone
            if refusal is None:
                self._waiting.append(_Job(future, program, limits))
                self._lock.notify()
        if refusal is not None:
            future.set_exception(refusal)
        return future

    def close(self) -> None:
        """End every pool; what has not ended gets `SandboxClosedError`. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._lock.notify_all()
        for thread in self._threads:
            thread.join(_JOIN_S)
        with self._lock:
            left = [*self._waiting, *(job for node in self._nodes for job in node.jobs.values())]
            self._waiting.clear()
        _fail(left, SandboxClosedError("the sandbox was closed before the program ran"))
        for node in self._nodes:
            self._end(node.actor)

    def __enter__(self) -> RaySandbox:
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

    def _open_all(self) -> list[_Node]:
        """Open a pool on every machine, and keep those that are alike."""
        found: list[_Node] = []
        reasons: list[str] = []
        starting = []
        for machine in self._cluster.machines():
            if not self._cluster.free_cpus(machine):
                continue
            try:
                starting.append((machine, *self._start(machine)))
            except InfrastructureError as error:
                reasons.append(f"{machine.label}: {error}")
        for machine, actor, opening in starting:
            try:
                found.append(_Node(machine, actor, self._opened(machine, opening)))
            except UsageError:
                for _, other, _ in starting:
                    self._end(other)
                raise
            except troubles() as error:
                reasons.append(f"{machine.label}: {error}")
                self._end(actor)
        for reason in reasons:
            self._log(f"WARNING: no programs run on {reason}")
        if not found:
            cause = " | ".join(reasons) or "no machine has a CPU that a replica has not taken"
            raise SandboxUnavailableError(f"no machine of the cluster has a sandbox ({cause})")
        return self._alike(found)

    def _start(self, machine: Machine) -> tuple[Any, Any]:
        """Return an actor and the reference of its opening, which takes seconds to minutes."""
        free = self._cluster.free_cpus(machine)
        workers = self._wanted.get("workers") or max(1, free)
        actor = self._cluster.start_sandbox(machine, workers)
        return actor, actor.open.remote({**self._wanted, "workers": workers})

    def _opened(self, machine: Machine, opening: Any) -> SandboxInfo:
        import ray

        info: SandboxInfo
        with translated("the sandbox could not be opened"):
            info, notes = ray.get(opening)
        for note in notes:
            self._log(f"{machine.label}: {note}")
        return info

    def _alike(self, nodes: list[_Node]) -> list[_Node]:
        """Keep the machines with the strongest tier and, of these, with what most workers have."""
        workers: Counter[tuple[Any, ...]] = Counter()
        for node in nodes:
            workers[_kind(node.info)] += node.info.workers
        best = min(workers, key=lambda kind: (_strength(kind[0]), -workers[kind]))
        for node in nodes:
            if _kind(node.info) != best:
                self._log(
                    f"WARNING: no programs run on {node.machine.label}: its sandbox is "
                    f"{_describe(node.info)}, but a run uses one kind, {_describe_kind(best)}. "
                    "Name a tier that all machines have with --sandbox."
                )
                self._end(node.actor)
        return [node for node in nodes if _kind(node.info) == best]

    def _serve(self, node: _Node) -> None:
        """Feed one machine until the end, or until it is lost for good."""
        import ray

        while True:
            tickets = self._take(node)
            if tickets is None:
                return
            busy = node.room <= 0
            wanted = max(1, len(node.jobs) // 4) if busy else 1
            wait_s = _BUSY_WAIT_S if busy else _IDLE_WAIT_S
            try:
                with translated("the sandbox stopped working"):
                    outcomes, environments = ray.get(
                        node.actor.exchange.remote(tickets, wanted, wait_s, node.environments)
                    )
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait forever
                if not self._lose(node, error):
                    return
                continue
            broken = self._deliver(node, outcomes, environments)
            if broken is not None and not self._lose(node, broken):
                return

    def _take(self, node: _Node) -> list[Ticket] | None:
        """Wait for work for a machine; None at the end."""
        with self._lock:
            while not self._closed and not node.jobs and not self._waiting:
                self._lock.wait()
            if self._closed:
                return None
            tickets: list[Ticket] = []
            # Not all at once to the first machine that asks: the others shall have some.
            fair = max(1, -(-len(self._waiting) // len(self._nodes)))
            while self._waiting and node.room > 0 and len(tickets) < fair:
                job = self._waiting.popleft()
                if job.losses or job.future.set_running_or_notify_cancel():
                    self._serial += 1
                    node.jobs[self._serial] = job
                    tickets.append((self._serial, job.program, job.limits))
            return tickets

    def _deliver(
        self,
        node: _Node,
        outcomes: Sequence[Outcome],
        environments: Mapping[str, Mapping[str, Any]],
    ) -> SandboxUnavailableError | None:
        """Hand on verdicts; returns why the machine can give no more of them."""
        broken: SandboxUnavailableError | None = None
        done: list[tuple[_Job, Execution | SandboxError]] = []
        with self._lock:
            if environments:
                node.environments = len(environments)
                self._environments |= environments
            if outcomes:
                self._used[node.machine.label] = {
                    name: getattr(node.info, name)
                    for name in ("tier", "workers", "python", "image_digest")
                }
            for number, outcome in outcomes:
                job = node.jobs[number]
                if isinstance(outcome, SandboxUnavailableError):
                    broken = outcome
                else:
                    del node.jobs[number]
                    done.append((job, outcome))
        for job, outcome in done:
            if isinstance(outcome, SandboxError):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        return broken

    def _lose(self, node: _Node, error: Exception) -> bool:
        """Give a machine's programs to others; True if its own pool could be started again."""
        self._end(node.actor)
        with self._lock:
            given_up: list[_Job] = []
            for job in node.jobs.values():
                job.losses += 1
                (given_up if job.losses >= MAX_LOSSES else self._waiting).append(job)
            node.jobs.clear()
            self._lock.notify_all()
            closed = self._closed
            if closed:
                given_up += self._waiting
                self._waiting.clear()
        _fail(
            given_up,
            SandboxClosedError("the sandbox was closed before the program ran")
            if closed
            else SandboxCrashError(f"{MAX_LOSSES} machines were lost while they ran the program"),
        )
        if closed:
            return False
        self._log(f"WARNING: the sandbox on {node.machine.label} is lost: {_short(error)}")
        if self._restarted(node):
            self._log(f"The sandbox on {node.machine.label} works again.")
            return True
        self._forget(node, error)
        return False

    def _restarted(self, node: _Node) -> bool:
        """Start the pool of a machine anew, if the machine lives and gives the same kind."""
        while node.restarts < _RESTARTS:
            node.restarts += 1
            if node.machine.id not in {machine.id for machine in self._cluster.machines()}:
                return False
            actor = None
            try:
                actor, opening = self._start(node.machine)
                info = self._opened(node.machine, opening)
            except Exception as error:  # noqa: BLE001 - whatever it is, others wait for its programs
                self._log(f"WARNING: {node.machine.label}: {_short(error)}")
                if actor is not None:  # It must give back its CPUs for the next try.
                    self._end(actor)
                continue
            with self._lock:
                fits = _kind(info) == _kind(node.info) and not self._closed
                if fits:
                    node.actor, node.info, node.environments = actor, info, 0
            if fits:
                return True
            self._end(actor)
        return False

    def _forget(self, node: _Node, error: Exception) -> None:
        with self._lock:
            self._nodes.remove(node)
            if self._nodes:
                return
            self._gone = SandboxUnavailableError(
                f"every machine of the cluster is lost, the last one to {_short(error)}"
            )
            left = list(self._waiting)
            self._waiting.clear()
        _fail(left, self._gone)

    def _end(self, actor: Any) -> None:
        """Close a pool in good order, for a moment; then Ray ends its process."""
        import ray

        with suppress(Exception):  # It is gone, or will be.
            ray.get(actor.close.remote(), timeout=_JOIN_S)
        self._cluster.release(actor)


def _kind(info: SandboxInfo) -> tuple[Any, ...]:
    return info.tier, info.python, tuple(sorted(info.libraries.items()))


def _strength(tier: str) -> int:
    return TIERS.index(tier) if tier in TIERS else len(TIERS)


def _describe(info: SandboxInfo) -> str:
    return _describe_kind(_kind(info))


def _describe_kind(kind: tuple[Any, ...]) -> str:
    return f"{kind[0]} with Python {kind[1]} and {len(kind[2])} libraries"


def _short(error: Exception) -> str:
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def _fail(jobs: Sequence[_Job], error: SandboxError) -> None:
    for job in jobs:
        future = job.future
        # What was handed over is running already; what waits still may have been cancelled.
        if future.running() or future.set_running_or_notify_cancel():
            future.set_exception(error)
