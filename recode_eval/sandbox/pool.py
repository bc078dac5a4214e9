"""The pool: a queue of programs, a thread per worker, and recovery from lost workers.

A lost worker is replaced and its program is run again, twice at most. If it loses every worker,
its set-up alone decides whose fault that is, before and after the last try. If that is lost as
well, the machine is at fault, and the program's future says so: it stays unscored. If not, the
program has crashed: none may choose to be unscored. A sandbox that cannot be started again at all
(the Docker daemon is gone) is tried for a while, then everything that waits is given up.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import threading
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recode_eval.checks import of_type
from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    SandboxClosedError,
    SandboxCrashError,
    SandboxError,
    SandboxInfo,
    SandboxUnavailableError,
    Status,
    TestVerdict,
)
from recode_eval.sandbox.preload import WARMED, libraries_of
from recode_eval.sandbox.runtimes import PYTHON
from recode_eval.sandbox.worker import PING_S, HopelessError, LinkLostError, Worker
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from types import TracebackType

    from recode_eval.sandbox.worker import Launcher

_log = logging.getLogger(__name__)
_TRIES = 3
_PROBE_LIMITS = Limits(cpu_s=60, wall_s=120)
_RESTART_FOR_S = 180.0
_JOIN_S = 30.0


@dataclass(slots=True)
class _PoolJob:
    future: Future[Execution]
    program: Program
    limits: Limits
    begun: bool = False
    """Whether it can no longer be cancelled."""

    def begin(self) -> bool:
        """Return whether it still has to run."""
        self.begun = self.begun or self.future.set_running_or_notify_cancel()
        return self.begun


class Pool:
    """The `Sandbox` of every tier: workers made by a launcher."""

    def __init__(
        self,
        launcher: Launcher,
        *,
        workers: int,
        isolation: str,
        restart_for_s: float | None = None,
    ) -> None:
        """Start the first worker, so that a tier that cannot work fails here.

        Raises:
            SandboxUnavailableError: the first worker did not start.
        """
        self._launcher = launcher
        self._isolation = isolation
        self._restart_for_s = _RESTART_FOR_S if restart_for_s is None else restart_for_s
        self._jobs: queue.SimpleQueue[_PoolJob | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._broken: str | None = None
        self._current: dict[int, Worker] = {}
        started: Future[Worker] = Future()
        # Not in the caller's thread: bubblewrap ends its child with the thread that started it, and
        # a router opens pools in threads that end.
        starting = threading.Thread(
            target=self._begin, args=(started,), name="sandbox-0", daemon=True
        )
        self._opened = threading.Event()
        starting.start()
        try:
            first = started.result()
        except BaseException as error:
            self._closing.set()
            self._opened.set()
            starting.join(_JOIN_S)
            launcher.close()
            if isinstance(error, LinkLostError):
                raise SandboxUnavailableError(str(error)) from None
            raise
        provenance = launcher.provenance()
        self._info = SandboxInfo(
            tier=launcher.tier,
            guarantees=launcher.guarantees,
            isolation=isolation,
            workers=workers,
            python=first.hello.python,
            libraries=first.hello.libraries,
            image=provenance.get("image"),
            image_digest=provenance.get("image_digest"),
            runtimes=first.hello.runtimes,
            supervisor=first.hello.supervisor,
        )
        others = [
            threading.Thread(
                target=self._serve, args=(slot, None), name=f"sandbox-{slot}", daemon=True
            )
            for slot in range(1, workers)
        ]
        self._threads = [starting, *others]
        self._process = os.getpid()
        atexit.register(self.close)
        self._opened.set()
        for thread in others:
            thread.start()

    @property
    def info(self) -> SandboxInfo:
        """Tier, guarantees and provenance."""
        return self._info

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        """Queue a program; see `Sandbox.submit` for the future's exceptions."""
        of_type("program", program, Program, "a Program")
        of_type("limits", limits, Limits, "Limits")
        future: Future[Execution] = Future()
        if os.getpid() != self._process:
            forked = "the sandbox belongs to the process that opened it; open one after the fork"
            future.set_exception(SandboxClosedError(forked))
            return future
        with self._lock:
            if self._closing.is_set():
                future.set_exception(SandboxClosedError("the sandbox is closed"))
            elif self._broken is not None:
                future.set_exception(SandboxUnavailableError(self._broken))
            elif program.language not in self._info.runtimes:
                future.set_exception(
                    SandboxUnavailableError(
                        f"this sandbox has no runtime for {program.language!r} (it has: "
                        f"{', '.join(self._info.runtimes)}); pass one to open_sandbox(runtimes=...)"
                    )
                )
            else:
                self._jobs.put(_PoolJob(future, program, limits))
        return future

    def close(self) -> None:
        """Stop everything; running and waiting programs end with `SandboxClosedError`.

        Does nothing in a forked process: workers and threads are its parent's.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            running = list(self._current.values())
        # Side by side: each may have to wait for a daemon that does not answer.
        stopping = [threading.Thread(target=_stop, args=(one,), daemon=True) for one in running]
        for thread in stopping:  # whoever waits for the worker wakes up
            thread.start()
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + _JOIN_S
        for thread in (*self._threads, *stopping):
            thread.join(max(0.1, deadline - time.monotonic()))
        self._drain(SandboxClosedError("the sandbox was closed before the program ran"))
        self._launcher.close()
        atexit.unregister(self.close)

    def __enter__(self) -> Pool:
        """Return the started pool."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _begin(self, started: Future[Worker]) -> None:
        """The first worker's thread: start it, and serve once the pool is complete."""
        try:
            worker = self._start(0)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            started.set_exception(error)
            return
        started.set_result(worker)
        self._opened.wait()
        if self._closing.is_set():
            self._discard(0, worker)
        else:
            self._serve(0, worker)

    def _serve(self, slot: int, worker: Worker | None) -> None:
        """A worker's thread."""
        ahead: _PoolJob | None = None
        """The next program, which was sent to the worker already."""
        try:
            while True:
                try:
                    job = ahead or self._jobs.get(timeout=PING_S)
                except queue.Empty:
                    worker = self._keep(slot, worker)
                    continue
                if job is None:
                    break
                if self._closing.is_set():
                    _fail(job.future, SandboxClosedError("the sandbox was closed"))
                    break
                if not job.begin():
                    continue
                worker, ahead = self._work(slot, worker, job, sent=ahead is not None)
        finally:
            if ahead is not None:
                _fail(ahead.future, SandboxClosedError("the sandbox was closed"))
            if worker is not None:
                self._discard(slot, worker)

    def _keep(self, slot: int, worker: Worker | None) -> Worker | None:
        """Tell an idle worker that it is still wanted; it is replaced with the next program."""
        if worker is None:
            return None
        try:
            worker.ping()
        except LinkLostError as error:
            if not self._closing.is_set():
                _log.warning("worker %d of the sandbox was lost while idle: %s", slot, error)
            self._discard(slot, worker)
            return None
        return worker

    def _work(
        self, slot: int, worker: Worker | None, job: _PoolJob, *, sent: bool
    ) -> tuple[Worker | None, _PoolJob | None]:
        """Run one program, with other tries on new workers.

        Returns the worker to go on with, and the job that it was sent ahead. A worker that is lost
        has not begun with that one, which is then put back, and no try of its is counted.
        """
        future, program, limits = job.future, job.program, job.limits
        ahead: _PoolJob | None = None
        reason = ""
        for attempt in range(_TRIES):
            try:
                if worker is None:
                    worker = self._restart(slot)
                if attempt == _TRIES - 1:
                    self._prove_sound(worker, program, limits)
                if not sent:
                    worker.send(program, limits)
                ahead = ahead or self._send_ahead(worker, limits)
                execution = worker.receive(program)
            except LinkLostError as error:
                reason = str(error)
                if not self._closing.is_set():
                    _log.warning("worker %d of the sandbox was lost: %s", slot, reason)
                if worker is not None:
                    log = self._discard(slot, worker)
                    worker = None
                    reason += f" ({log})" if log and log not in reason else ""
                sent = False
                self._put_back(ahead)
                ahead = None
                if self._closing.is_set():
                    break
                continue
            except SandboxError as error:  # no worker can be had
                self._put_back(ahead)
                _fail(future, error)
                return None, None
            except BaseException as error:  # noqa: BLE001 - a thread must not die with a future unset
                if worker is not None:
                    self._discard(slot, worker)
                self._put_back(ahead)
                _fail(future, SandboxCrashError(f"unexpected: {error!r}"))
                return None, None
            if worker.worn_out:
                _log.info("worker %d of the sandbox is replaced: %s", slot, worker.worn_out)
                self._discard(slot, worker)
                self._put_back(ahead)
                worker = ahead = None
            future.set_result(execution)
            return worker, ahead
        if self._closing.is_set():
            _fail(future, SandboxClosedError("the sandbox was closed while the program ran"))
        else:
            return self._settle_loss(slot, job, reason), None
        return None, None

    def _settle_loss(self, slot: int, job: _PoolJob, reason: str) -> Worker | None:
        """Say whose fault it is that a program lost every worker; return a sound worker, if any."""
        worker = None
        try:
            worker = self._restart(slot)
            self._prove_sound(worker, job.program, job.limits)
        except (LinkLostError, SandboxError) as error:
            if worker is not None:
                self._discard(slot, worker)
            told = f"the sandbox was lost {_TRIES} times with this program: {reason or error}"
            closed = SandboxClosedError("the sandbox was closed while the program ran")
            _fail(job.future, closed if self._closing.is_set() else SandboxCrashError(told))
            return None
        detail = f"{_TRIES} workers were lost with this program, and none without it: {reason}"
        job.future.set_result(
            Execution(
                tuple(
                    TestVerdict(test.name, Status.CRASHED, one_line(detail))
                    for test in job.program.tests
                )
            )
        )
        return worker

    def _prove_sound(self, worker: Worker, program: Program, limits: Limits) -> None:
        """Run the set-up and the imports of a program that lost workers, and nothing of its own.

        Raises:
            LinkLostError: this loses the worker as well, so the program is not to blame.
        """
        imports = ""
        if program.language == PYTHON:
            imports = "".join(f"import {name}\n" for name in libraries_of(program))
        probe = replace(program, candidate=imports, tests=())
        memory = max(limits.memory_bytes, _PROBE_LIMITS.memory_bytes)
        worker.send(probe, replace(_PROBE_LIMITS, memory_bytes=memory))
        worker.receive(probe)
        if worker.worn_out:
            raise LinkLostError(worker.worn_out)

    def _send_ahead(self, worker: Worker, limits: Limits) -> _PoolJob | None:
        """Send the worker one more program, if there are enough for the other workers, too."""
        while self._jobs.qsize() > len(self._threads):
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return None
            if job is None:  # closing; another thread is meant
                self._jobs.put(None)
                return None
            if not job.begin():
                continue
            sent = False
            try:
                # Room was made for the memory of the running program.
                if job.limits.memory_bytes <= limits.memory_bytes:
                    sent = worker.send_ahead(job.program, job.limits)
            finally:
                if not sent:
                    self._put_back(job)
            return job if sent else None
        return None

    def _put_back(self, job: _PoolJob | None) -> None:
        """Queue a job again that a worker was sent and did not begin with."""
        if job is None:
            return
        with self._lock:
            if not self._closing.is_set() and self._broken is None:
                self._jobs.put(job)
                return
            broken = self._broken
        _fail(
            job.future,
            SandboxUnavailableError(broken)
            if broken
            else SandboxClosedError("the sandbox was closed"),
        )

    def _start(self, slot: int) -> Worker:
        worker = Worker(self._launcher, slot, self._isolation, list(WARMED))
        with self._lock:
            if not self._closing.is_set():
                self._current[slot] = worker
                return worker
        worker.stop()
        raise LinkLostError("the sandbox is being closed")

    def _restart(self, slot: int) -> Worker:
        """Start a worker, trying again for a while: a daemon may be restarting."""
        deadline = time.monotonic() + self._restart_for_s
        pause = 0.2
        while True:
            if self._broken is not None:
                raise SandboxUnavailableError(self._broken)
            try:
                return self._start(slot)
            except (LinkLostError, SandboxUnavailableError) as error:
                if self._closing.is_set():
                    raise LinkLostError("the sandbox is being closed") from None
                if time.monotonic() + pause > deadline or isinstance(error, HopelessError):
                    self._give_up(f"the sandbox cannot be started any more: {error}")
                    raise SandboxUnavailableError(self._broken or str(error)) from error
            self._closing.wait(pause)
            pause = min(10.0, pause * 2)

    def _give_up(self, message: str) -> None:
        with self._lock:
            self._broken = message
        self._drain(SandboxUnavailableError(message))
        for _ in self._threads:
            self._jobs.put(None)

    def _drain(self, error: SandboxError) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None and job.begin():
                    _fail(job.future, error)

    def _discard(self, slot: int, worker: Worker) -> str:
        with self._lock:
            if self._current.get(slot) is worker:
                del self._current[slot]
        try:
            return worker.stop()
        except Exception as error:  # noqa: BLE001 - a worker that cannot be stopped is still gone
            return repr(error)


def _stop(worker: Worker) -> None:
    with contextlib.suppress(Exception):
        worker.stop()


def _fail(future: Future[Execution], error: SandboxError) -> None:
    with contextlib.suppress(InvalidStateError):  # cancelled, or done, in this very moment
        future.set_exception(error)
