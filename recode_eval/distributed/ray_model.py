"""A `Model` that is several copies of one, each on GPUs (or CPUs) somewhere in a cluster.

Requests lie in one queue; every replica takes a portion when it has done the one before, the
portions shrinking towards the end. Samples stream back in small groups, and wait on the replica
where they cannot be taken. What a lost replica had not delivered goes back into the queue.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from recode_eval.distributed.cluster import lost, translated, troubles
from recode_eval.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recode_eval.distributed.cluster import Cluster
    from recode_eval.models.base import Completion, ModelInfo, Request, SamplingParameters
    from recode_eval.models.options import ModelOptions

_SMALLEST_PORTION: Final = 8
"""Requests; a replica's batch should not run empty for want of them."""
_GROUPS_AHEAD: Final = 8
"""Groups of samples that a replica, and this process for each, keep before generation waits."""
_RESTARTS: Final = 3
_JOIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one replica reserves, all on one machine."""

    cpus: float = 1
    gpus: float = 0


class RayModel:
    """Follows `Model`."""

    def __init__(
        self,
        cluster: Cluster,
        replicas: Sequence[Any],
        share: Share,
        log: Callable[[str], None],
    ) -> None:
        """Take actors of `Replica` that have loaded nothing yet; call `load` next."""
        self._cluster = cluster
        self._replicas: list[Any | None] = list(replicas)
        """None: lost, and not replaced."""
        self._share = share
        self._log = log
        self._restarts = _RESTARTS * len(self._replicas)
        self._loading: tuple[str, str, ModelOptions] | None = None
        self._info: ModelInfo | None = None
        self._runs = 0

    def add(self, actor: Any) -> None:
        """Take one more actor that has loaded nothing."""
        self._replicas.append(actor)

    def load(self, spec: str, backend: str, options: ModelOptions) -> None:
        """Load the same weights into every replica.

        Raises:
            UsageError: what `create_model` raises, or the replicas found different weights.
            InfrastructureError: an engine does not start, or a machine was lost.
        """
        import ray

        self._loading = spec, backend, options
        actors = filter(None, self._replicas)
        try:
            with translated(f"{spec} could not be loaded"):
                infos = ray.get([actor.load.remote(*self._loading) for actor in actors])
        except lost() as error:
            raise InfrastructureError(f"A machine was lost while it loaded {spec}.") from error
        if any(info.identity != infos[0].identity for info in infos):
            raise UsageError(
                f"{spec} differs between the machines of the cluster. Give all of them the same "
                "files."
            )
        self._info = replace(infos[0], details={**infos[0].details, "replicas": len(infos)})

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity: those of one replica."""
        assert self._info is not None, "not loaded"
        return self._info

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the samples as they come from all replicas.

        Raises `InfrastructureError` when an engine fails, or the last replica is lost.
        """
        self._runs += 1
        slots = [slot for slot, actor in enumerate(self._replicas) if actor is not None]
        if not slots:
            raise InfrastructureError("All replicas of the model are lost.")
        work = _Work(self._runs, requests, len(slots))
        threads = [
            threading.Thread(
                target=self._serve, args=(slot, work, parameters), name="ray-model", daemon=True
            )
            for slot in slots
        ]
        for thread in threads:
            thread.start()
        done = False
        try:
            yield from work.results()
            done = True
        finally:
            work.stop()
            if not done:
                for actor in filter(None, self._replicas):
                    actor.stop.remote(work.run)
            for thread in threads:
                thread.join(_JOIN_S)

    def close(self) -> None:
        """End the replicas. Idempotent."""
        for actor in filter(None, self._replicas):
            self._cluster.release(actor)
        self._replicas.clear()

    def _serve(self, slot: int, work: _Work, parameters: SamplingParameters) -> None:
        """Work through portions on one replica until none is left."""
        error: BaseException | None = None
        try:
            while (portion := work.take()) is not None:
                loss = self._portion(slot, portion, work, parameters)
                if loss is not None and not self._recovered(slot, work, loss):
                    return
        except BaseException as failure:  # noqa: BLE001 - raised by whoever reads the results
            error = failure
        work.ended(error)

    def _portion(
        self,
        slot: int,
        portion: dict[str, Request],
        work: _Work,
        parameters: SamplingParameters,
    ) -> BaseException | None:
        """Generate a portion; returns why the replica is lost, if it is."""
        import ray

        actor = self._replicas[slot]
        assert actor is not None
        generate = actor.generate.options(
            num_returns="streaming", _generator_backpressure_num_objects=_GROUPS_AHEAD
        )
        try:
            with translated("the engine failed"):
                for reference in generate.remote(work.run, list(portion.values()), parameters):
                    for completion in (group := ray.get(reference)):
                        _strike(portion, completion)
                    if not work.put(group):
                        return None
        except lost() as error:
            self._cluster.release(actor)
            self._replicas[slot] = None
            work.give_back(portion)
            return error
        work.finished()
        return None

    def _recovered(self, slot: int, work: _Work, error: BaseException) -> bool:
        """Start another replica in the place of a lost one; False if this thread is to end.

        Where other replicas work, they need not wait for that: it comes back if there is something
        left to do, and where there is no room for it, they go on without.
        """
        if work.stopped:
            return False
        away = work.leave()
        try:
            self._replace(slot, error)
        except troubles() as failure:
            if not away:
                raise
            self._log(f"WARNING: the other replicas continue without it: {failure}")
            return False
        return not away or work.rejoin()

    def _replace(self, slot: int, error: BaseException) -> None:
        """Start and load another replica, wherever there is room; raises `InfrastructureError`."""
        import ray

        assert self._loading is not None
        self._restarts -= 1
        reason = next(iter(str(error).splitlines()), "")[:200]
        self._log(f"WARNING: a replica of the model is lost ({reason}); starting another one.")
        if self._restarts < 0:
            raise InfrastructureError(f"Replicas of the model were lost too often: {reason}")
        actor = self._cluster.start_replica(cpus=self._share.cpus, gpus=self._share.gpus)
        try:
            with translated("the model could not be loaded again"):
                info = ray.get(actor.load.remote(*self._loading))
        except troubles() as again:
            self._cluster.release(actor)
            raise InfrastructureError(f"A replica could not be replaced: {again}") from again
        if info.identity != self.info.identity:
            self._cluster.release(actor)
            raise UsageError(
                "The model's files have changed since the run began; restore them, or start a new "
                "run."
            )
        if slot < len(self._replicas):
            self._replicas[slot] = actor
        else:  # Closed in the meantime.
            self._cluster.release(actor)


class _Work:
    """The queue of requests and that of results, shared by the threads of all replicas."""

    def __init__(self, run: int, requests: Sequence[Request], replicas: int) -> None:
        self.run = run
        self._requests = deque(requests)
        self._replicas = replicas
        self._active = replicas
        """Replicas whose threads have not ended and are not away."""
        self._busy = 0
        self._lock = threading.Condition()
        self._results: queue.Queue[list[Completion] | BaseException | None] = queue.Queue(
            _GROUPS_AHEAD * replicas
        )
        self.stopped = False

    def take(self) -> dict[str, Request] | None:
        """Return a portion by problem; waits while another replica may give something back."""
        with self._lock:
            while not self._requests and self._busy and not self.stopped:
                self._lock.wait()
            if not self._requests or self.stopped:
                return None
            size = max(_SMALLEST_PORTION, len(self._requests) // (2 * self._replicas))
            self._busy += 1
            portion: dict[str, Request] = {}
            while self._requests and len(portion) < size:
                if self._requests[0].problem_id in portion:
                    break
                request = self._requests.popleft()
                portion[request.problem_id] = request
            return portion

    def put(self, group: list[Completion]) -> bool:
        """Hand on samples; blocks while too many wait. False once nobody wants any."""
        while not self.stopped:
            try:
                self._results.put(group, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False

    def give_back(self, portion: dict[str, Request]) -> None:
        """Put what is missing of a portion at the front again."""
        with self._lock:
            self._requests.extendleft(request for request in portion.values() if request.samples)
            self._busy -= 1
            self._lock.notify_all()

    def finished(self) -> None:
        """A portion is done; a sample that the model did not give is its own affair."""
        with self._lock:
            self._busy -= 1
            self._lock.notify_all()

    def leave(self) -> bool:
        """A replica is lost: the others may end without it. False if no other exists."""
        with self._lock:
            if self._active == 1:
                return False
            self._active -= 1
        self._hand_on(None)
        return True

    def rejoin(self) -> bool:
        """A replica is back; False if the others have done everything."""
        with self._lock:
            if self._active == 0 or self.stopped:
                return False
            self._active += 1
            return True

    def ended(self, error: BaseException | None) -> None:
        """A replica has no more to do, or failed."""
        with self._lock:
            self._active -= 1
            if error is not None:
                self._busy = 0
        self._hand_on(error)

    def _hand_on(self, item: BaseException | None) -> None:
        """Wake the reader."""
        while not self.stopped:
            try:
                self._results.put(item, timeout=0.5)
            except queue.Full:
                continue
            return

    def results(self) -> Iterator[Completion]:
        """Yield samples until every replica has ended; raises the first error."""
        while True:
            item = self._results.get()
            if isinstance(item, BaseException):
                raise item
            if item is not None:
                yield from item
                continue
            with self._lock:
                # Behind the last replica's own mark nothing can come any more.
                if self._active == 0 and self._results.empty():
                    return

    def stop(self) -> None:
        """Nobody reads any more."""
        with self._lock:
            self.stopped = True
            self._lock.notify_all()


def _strike(portion: dict[str, Request], completion: Completion) -> None:
    """Take a sample that has come from what is asked for."""
    request = portion.get(completion.problem_id)
    if request is None:
        return
    left = [
        (sample, seed)
        for sample, seed in zip(request.samples, request.seeds, strict=True)
        if sample != completion.sample
    ]
    portion[completion.problem_id] = replace(
        request,
        samples=tuple(sample for sample, _ in left),
        seeds=tuple(seed for _, seed in left),
    )
