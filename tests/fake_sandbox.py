"""A sandbox for tests of the pipeline: runs *trusted* programs in a fork, without limits.

The real tiers have their own suite; here only the contract of `Sandbox` matters, and being able to
fail on demand.
"""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    Sandbox,
    SandboxInfo,
    Status,
    TestVerdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeSandbox:
    """Runs each program at once; `fail(program)` may return an error to raise from the future."""

    def __init__(
        self, tier: str = "fake", fail: Callable[[Program], Exception | None] = lambda _: None
    ) -> None:
        self.info = SandboxInfo(tier, ("none: this is a test double",), "program", 1, "3")
        self.programs: list[Program] = []
        self._fail = fail
        self._lock = threading.Lock()
        self.closed = False

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        del limits
        future: Future[Execution] = Future()
        with self._lock:
            self.programs.append(program)
            error = self._fail(program)
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(_run_apart(program))
        return future

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _run_apart(program: Program) -> Execution:
    # Programs patch modules, which must not outlive them.
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(_run(program)))
    process.start()
    execution: Execution = receiver.recv()
    process.join()
    return execution


def _run(program: Program) -> Execution:
    namespace: dict[str, object] = {"__name__": "__main__"}
    try:
        exec(program.setup, namespace)
    except Exception as error:
        return Execution((), setup_error=f"{type(error).__name__}: {error}")
    verdicts = []
    for test in program.tests:
        scope = dict(namespace)
        try:
            exec(program.candidate, scope)
            exec(test.code, scope)
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            verdicts.append(TestVerdict(test.name, Status.FAILED, detail))
        else:
            verdicts.append(TestVerdict(test.name, Status.PASSED))
    return Execution(tuple(verdicts))
