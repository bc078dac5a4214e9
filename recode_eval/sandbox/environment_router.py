"""A sandbox for programs that need different libraries: one pool per environment, few at a time.

Programs queue per environment. A pool is opened when its first program comes and closed again, once
it has nothing to do, in favour of an environment that waits; so a run over fifty releases needs the
memory of three.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from recode_eval.errors import RecodeError
from recode_eval.sandbox.base import (
    SandboxBuildError,
    SandboxClosedError,
    SandboxCrashError,
    SandboxError,
    SandboxInfo,
)
from recode_eval.sandbox.locks import NoSuchReleaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from types import TracebackType

    from recode_eval.sandbox.base import Execution, Limits, Program, Sandbox

MAX_OPEN = 3
"""Pools of single releases that are open at once, besides the task's own."""

_JOIN_S = 30.0
_TRIES = 2
"""Attempts to open an environment before its programs go without."""
_PAUSE_S = 30.0
"""Seconds until an environment that failed is tried again; as many more after every failure."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lane:
    """One environment: its pool, or why it has none, and the programs that wait for it."""

    waiting: deque[tuple[Future[Execution], Program, Limits]] = field(default_factory=deque)
    pool: Sandbox | None = None
    opening: bool = False
    running: int = 0
    """Programs in the pool that have not ended."""
    broken: SandboxError | None = None
    failures: int = 0
    """Attempts to open it that failed, one after the other."""
    again_at: float | None = None
    """When a broken one may be tried again, by the monotonic clock; None: never."""

    def refusal(self) -> SandboxError | None:
        """Return why the next program cannot run; forgets a failure once it is old enough."""
        if self.again_at is not None and time.monotonic() >= self.again_at:
            self.broken = self.again_at = None
        return self.broken

    def failed(self, error: SandboxError, *, final: bool) -> bool:
        """Note a failure and return whether the programs that wait must go without."""
        self.failures += 1
        if not final and self.failures % _TRIES:
            return False
        self.broken = error
        pause = _PAUSE_S * (self.failures // _TRIES)
        self.again_at = None if final else time.monotonic() + pause
        return True

    @property
    def open(self) -> bool:
        return self.opening or self.pool is not None

    @property
    def idle(self) -> bool:
        return self.pool is not None and not self.running and not self.waiting


class EnvironmentRouter:
    """Follows `Sandbox`; runs each program in the environment that it names.

    An environment that cannot be opened is tried twice, and again for programs that come later: a
    full disk or an index out of reach pass. One that has no wheels is not.
    """

    def __init__(
        self,
        own: Sandbox,
        open_pool: Callable[[str], Sandbox],
        *,
        libraries: Callable[[str], Mapping[str, str]] | None = None,
        max_open: int = MAX_OPEN,
    ) -> None:
        """Take the pool of the task's own environment, and how to open that of a release.

        `own` stays open and runs what names no environment. All pools must be of its tier.
        `libraries` says what an environment holds, for the record.
        """
        self._own = own
        self._open_pool = open_pool
        self._libraries = libraries
        self._max_open = max_open
        self._lanes: dict[str, _Lane] = {}
        self._environments: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._threads: list[threading.Thread] = []

    @property
    def info(self) -> SandboxInfo:
        """The own pool's, with what is known of every other environment used so far."""
        with self._lock:
            return replace(self._own.info, environments=dict(self._environments))

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        """Queue a program; see `Sandbox.submit`.

        The future's exception may also be a `SandboxBuildError`: its environment cannot be built.
        """
        from concurrent.futures import Future

        if program.environment is None:
            return self._own.submit(program, limits)
        future: Future[Execution] = Future()
        with self._lock:
            lane = self._lanes.setdefault(program.environment, _Lane())
            closed = SandboxClosedError("the sandbox is closed") if self._closed else None
            refusal = closed or lane.refusal()
            if refusal is None:
                lane.waiting.append((future, program, limits))
        if refusal is not None:
            future.set_exception(refusal)
        else:
            self._dispatch()
        return future

    def close(self) -> None:
        """Close every pool; waiting programs end with `SandboxClosedError`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            lanes = list(self._lanes.values())
            waiting = [job for lane in lanes for job in lane.waiting]
            pools = [lane.pool for lane in lanes if lane.pool is not None]
            for lane in lanes:
                lane.waiting.clear()
                lane.pool = None
        error = SandboxClosedError("the sandbox was closed before the program ran")
        _fail(waiting, error)
        with contextlib.ExitStack() as closing:  # one that raises must not keep the others open
            closing.callback(self._own.close)
            for pool in pools:
                closing.callback(pool.close)
        deadline = time.monotonic() + _JOIN_S
        for thread in self._threads:  # a build that goes on alone closes its pool by itself
            thread.join(max(0.1, deadline - time.monotonic()))

    def __enter__(self) -> EnvironmentRouter:
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

    def _dispatch(self) -> None:
        """Hand waiting programs to their pools, and change pools where an environment waits."""
        ready: list[tuple[str, Sandbox, list[tuple[Future[Execution], Program, Limits]]]] = []
        with self._lock:
            if self._closed:
                return
            for name, lane in self._lanes.items():
                if lane.pool is not None and lane.waiting:
                    ready.append((name, lane.pool, list(lane.waiting)))
                    lane.running += len(lane.waiting)
                    lane.waiting.clear()
            for name, lane in self._lanes.items():
                if lane.waiting and not lane.open and not self._make_room():
                    break
                if lane.waiting and not lane.open:
                    lane.opening = True
                    self._in_thread(self._open, name, lane)
        for name, pool, jobs in ready:
            for future, program, limits in jobs:
                self._run(name, pool, future, program, limits)

    def _make_room(self) -> bool:
        """Whether another pool may be opened; closes one that has nothing to do if need be."""
        if sum(lane.open for lane in self._lanes.values()) < self._max_open:
            return True
        for lane in self._lanes.values():
            if lane.idle and lane.pool is not None:
                self._in_thread(_close_quietly, lane.pool)
                lane.pool = None
                return True
        return False

    def _in_thread(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(
            target=target, args=arguments, name="environment-router", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _open(self, name: str, lane: _Lane) -> None:
        """Build what is missing and start the pool; takes seconds to minutes."""
        pool: Sandbox | None = None
        error: SandboxError | None = None
        final = False
        libraries: Mapping[str, str] | None = None
        try:
            pool = self._open_pool(name)
            libraries = self._libraries(name) if self._libraries else pool.info.libraries
        except SandboxError as failure:
            error, final = failure, isinstance(failure, NoSuchReleaseError)
        except RecodeError as failure:  # a lock that is missing or malformed
            error, final = SandboxBuildError(str(failure)), True
        except Exception as failure:  # noqa: BLE001 - a waiting program must learn of it
            _log.exception("opening the environment %s", name)
            error = SandboxBuildError(f"the environment {name} could not be opened: {failure!r}")
        with self._lock:
            lane.opening = False
            failed: list[tuple[Future[Execution], Program, Limits]] = []
            if error is not None:
                if lane.failed(error, final=final):
                    failed = list(lane.waiting)
                    lane.waiting.clear()
            elif pool is not None and not self._closed:
                info = pool.info
                self._environments[name] = {
                    "python": info.python,
                    "libraries": dict(libraries or {}),
                    "image": info.image,
                    "image_digest": info.image_digest,
                }
                lane.pool, pool = pool, None
                lane.failures = 0
        if pool is not None:  # closed in the meantime
            _close_quietly(pool)
        if error is not None:
            _fail(failed, error)
        self._dispatch()

    def _run(
        self,
        name: str,
        pool: Sandbox,
        future: Future[Execution],
        program: Program,
        limits: Limits,
    ) -> None:
        try:
            inner = pool.submit(program, limits)
        except Exception as error:  # noqa: BLE001 - the others in line must not be forgotten
            self._ended(name)
            _fail([(future, program, limits)], SandboxCrashError(f"unexpected: {error!r}"))
            return

        def finished(done: Future[Execution]) -> None:
            # Count before notifying: a waiting caller may submit the next program at once.
            self._ended(name)
            if not future.set_running_or_notify_cancel():
                return
            if done.cancelled():
                future.set_exception(SandboxClosedError("the sandbox was closed"))
            elif (error := done.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(done.result())

        future.add_done_callback(lambda outer: inner.cancel() if outer.cancelled() else None)
        inner.add_done_callback(finished)

    def _ended(self, name: str) -> None:
        with self._lock:
            lane = self._lanes[name]
            lane.running -= 1
            others_wait = not lane.running and any(
                other.waiting and not other.open for other in self._lanes.values()
            )
        if others_wait:
            self._dispatch()


def _fail(jobs: list[tuple[Future[Execution], Program, Limits]], error: SandboxError) -> None:
    for future, _, _ in jobs:
        if future.set_running_or_notify_cancel():
            future.set_exception(error)


def _close_quietly(pool: Sandbox) -> None:
    try:
        pool.close()
    except Exception:  # noqa: BLE001 - nobody waits for this
        _log.exception("closing a pool")
