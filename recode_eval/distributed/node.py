"""What runs on the machines of a cluster: a sandbox that takes programs in batches, and a model.

Plain classes; `cluster` makes actors of them. They know nothing of who calls them.
"""

from __future__ import annotations

import os
import queue
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval import __version__
from recode_eval.sandbox.base import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from recode_eval.models.base import Completion, Model, ModelInfo, Request, SamplingParameters
    from recode_eval.models.options import ModelOptions
    from recode_eval.sandbox.base import Execution, Limits, Program, Sandbox, SandboxInfo

Ticket = tuple[int, "Program", "Limits"]
"""A program on its way, under a number that the caller chose."""
Outcome = tuple[int, "Execution | SandboxError"]

_GATHER_S: Final = 0.05
"""How long finished programs wait for others, so that a message carries several."""
_GROUP: Final = 32
_GROUP_S: Final = 0.2
"""Completions that travel together, and how long the first of them waits at most for a next one."""


@dataclass(frozen=True, slots=True)
class ActorLocation:
    """Where an actor is, and which release of this package it runs."""

    node: str
    host: str
    pid: int
    version: str


def place() -> ActorLocation:
    """Say where this process is; only inside of a Ray actor."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return ActorLocation(node, socket.gethostname(), os.getpid(), __version__)


class NodeSandbox:
    """The sandbox of one machine."""

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None
        self._finished: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def place(self) -> ActorLocation:
        """Return where this is."""
        return place()

    def open(self, wanted: Mapping[str, Any]) -> tuple[SandboxInfo, list[str]]:
        """Open the sandbox (arguments of `open_router`); returns what it is and what was noted.

        Raises what `open_router` raises.
        """
        from recode_eval.sandbox import open_router

        notes: list[str] = []
        self._sandbox = open_router(**wanted, log=notes.append)
        return self._sandbox.info, notes

    def exchange(
        self, tickets: Sequence[Ticket], wanted: int, wait_s: float, known: int
    ) -> tuple[list[Outcome], Mapping[str, Mapping[str, Any]]]:
        """Queue programs, and return which have finished since the last call.

        Returns when `wanted` have, or some of them and no other for a moment, or none in `wait_s`.
        The second value is `SandboxInfo.environments`, empty if the caller has all it `known`.
        """
        sandbox = self._sandbox
        assert sandbox is not None, "not opened"
        for number, program, limits in tickets:
            self._submit(sandbox, number, program, limits)
        outcomes = self._gather(wanted, wait_s)
        environments = sandbox.info.environments
        return outcomes, environments if len(environments) != known else {}

    def _submit(self, sandbox: Sandbox, number: int, program: Program, limits: Limits) -> None:
        def ended(future: Future[Execution]) -> None:
            error = future.exception()
            if error is None:
                self._finished.put((number, future.result()))
            elif isinstance(error, SandboxError):
                self._finished.put((number, error))
            else:
                self._finished.put((number, SandboxError(f"{type(error).__name__}: {error}")))

        try:
            future = sandbox.submit(program, limits)
        except SandboxError as error:
            self._finished.put((number, error))
        else:
            future.add_done_callback(ended)

    def _gather(self, wanted: int, wait_s: float) -> list[Outcome]:
        try:
            found = [self._finished.get(timeout=wait_s)]
        except queue.Empty:
            return []
        deadline = time.monotonic() + _GATHER_S
        while len(found) < wanted:
            try:
                found.append(self._finished.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                break
        while not self._finished.empty():
            found.append(self._finished.get())
        return found

    def close(self) -> None:
        """Close the sandbox, which removes everything it created."""
        if self._sandbox is not None:
            self._sandbox.close()


class Replica:
    """One copy of a model."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._stopped: set[int] = set()

    def place(self) -> ActorLocation:
        """Return where this is."""
        return place()

    def load(self, spec: str, backend: str, options: ModelOptions) -> ModelInfo:
        """Load the model; raises what `create_model` raises."""
        from recode_eval.models import create_model

        assert self._model is None, "loaded before"
        self._model = create_model(spec, backend=backend, options=options)
        return self._model.info

    def generate(
        self, run: int, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[list[Completion]]:
        """Yield the samples in small groups, as they come; `run` is what `stop` may name."""
        assert self._model is not None, "not loaded"
        stream = self._model.generate(requests, parameters)
        try:
            for group in grouped(stream, _GROUP, _GROUP_S):
                yield group
                if run in self._stopped:
                    return
        finally:
            if hasattr(stream, "close"):
                stream.close()

    def stop(self, run: int) -> None:
        """End all generation for a run early; called while it goes on."""
        self._stopped.add(run)

    def close(self) -> None:
        """Free the engine."""
        if self._model is not None:
            self._model.close()


def grouped(items: Iterable[Completion], size: int, seconds: float) -> Iterator[list[Completion]]:
    """Yield lists of up to `size` items; an item waits for the next one, or for `seconds`."""
    group: list[Completion] = []
    started = 0.0
    for item in items:
        if not group:
            started = time.monotonic()
        group.append(item)
        if len(group) >= size or time.monotonic() - started >= seconds:
            yield group
            group = []
    if group:
        yield group
