"""The `Executor` of a Ray cluster: replicas of models, and a pool of programs on every machine."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from recode_eval.distributed.base import LocalExecutor
from recode_eval.distributed.cluster import Cluster
from recode_eval.distributed.ray_model import RayModel, Share
from recode_eval.distributed.ray_sandbox import RaySandbox
from recode_eval.models.backends import get_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from recode_eval.models.base import Model
    from recode_eval.models.options import ModelOptions


class RayExecutor:
    """Follows `Executor`; thread-safe."""

    def __init__(
        self,
        address: str | None = None,
        *,
        replicas: int | None = None,
        replica_cpus: int = 1,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connect; see `Cluster` for the address and the errors.

        `replicas` are copies of a model: None means one per GPU (or group of GPUs that a copy
        needs), and a single one where there is no GPU. Each gets `replica_cpus` CPUs.
        """
        self._cluster = Cluster(address)
        self._replicas = replicas
        self._cpus = replica_cpus
        self._log = log
        self._reserved: list[Any] = []
        self._lock = threading.Lock()
        machines = self._cluster.machines()
        cpus, gpus = sum(m.cpus for m in machines), sum(m.gpus for m in machines)
        log(f"Ray: {len(machines)} machines, {cpus} CPUs, {gpus} GPUs.")

    def prepare(self, backend: str, options: ModelOptions) -> None:
        """Start the replicas' actors, empty: their resources are reserved from now on."""
        if not get_backend(backend).loads_checkpoint:
            return
        share = self._share(options)
        for _ in range(self.count(options) - len(self._reserved)):
            self._reserved.append(self._start(share))

    def count(self, options: ModelOptions) -> int:
        """Return how many replicas there are to be."""
        if self._replicas is not None:
            return self._replicas
        needed = self._share(options).gpus
        if not needed:
            return 1
        machines = self._cluster.machines()
        return max(1, sum(int(machine.gpus // needed) for machine in machines))

    def models_at_once(self, options: ModelOptions, models: int) -> tuple[int, int]:
        """One model per replica; more replicas than models become further copies."""
        replicas = self.count(options)
        at_once = max(1, min(models, replicas))
        return at_once, replicas // at_once

    def create_model(
        self,
        spec: str,
        backend: str,
        options: ModelOptions,
        answers: Mapping[str, Mapping[str, str]],
        *,
        copies: int | None = None,
    ) -> Model:
        """Load the model into replicas; what loads no weights stays in this process."""
        if not get_backend(backend).loads_checkpoint:
            return LocalExecutor().create_model(spec, backend, options, answers)
        share = self._share(options)
        copies = self.count(options) if copies is None else copies
        with self._lock:
            actors = [self._reserved.pop() for _ in range(min(copies, len(self._reserved)))]
        model = RayModel(self._cluster, actors, share, self._log)
        try:
            for _ in range(copies - len(actors)):
                model.add(self._start(share))
            model.load(spec, backend, options)
        except BaseException:
            model.close()
            raise
        return model

    def open_sandbox(self, **wanted: Any) -> RaySandbox:
        """Open a pool on every machine; notes of the machines go to this executor's `log`."""
        wanted.pop("log", None)
        return RaySandbox(self._cluster, wanted, self._log)

    def _start(self, share: Share) -> Any:
        return self._cluster.start_replica(cpus=share.cpus, gpus=share.gpus)

    def _share(self, options: ModelOptions) -> Share:
        has_gpus = any(machine.gpus for machine in self._cluster.machines())
        if not has_gpus or options.device == "cpu":
            return Share(self._cpus)
        return Share(self._cpus, options.tensor_parallel_size * options.data_parallel_size)

    def __enter__(self) -> RayExecutor:
        """Return this."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """End what was reserved and never used, and leave the cluster."""
        for actor in self._reserved:
            self._cluster.release(actor)
        self._cluster.close()
