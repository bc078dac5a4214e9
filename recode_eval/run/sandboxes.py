"""The sandboxes of one call: one per environment, isolation and language, opened when needed."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.distributed.base import Executor
    from recode_eval.run.config import SandboxOptions
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Task


class Sandboxes:
    """Opens sandboxes and closes all of them at the end; a context manager, safe in threads."""

    def __init__(
        self,
        options: SandboxOptions,
        log: Callable[[str], None] = lambda _: None,
        executor: Executor | None = None,
    ) -> None:
        """Open them with an executor, that of this machine by default."""
        from recode_eval.distributed.base import LocalExecutor

        self._options = options
        self._log = log
        self._executor = executor or LocalExecutor()
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, str], Sandbox] = {}
        self._closing = contextlib.ExitStack()

    def opener(self, task: Task, isolation: str) -> Callable[[], Sandbox]:
        """Return the function that gives a task's sandbox."""
        from recode_eval.sandbox.null import NullSandbox

        if not task.conditions:
            return NullSandbox
        return lambda: self._get(task.spec.environment, isolation, task.spec.language)

    def _get(self, environment: str, isolation: str, language: str) -> Sandbox:
        from recode_eval.languages import runtimes_of

        key = environment, isolation, language
        with self._lock:
            if key not in self._open:
                self._open[key] = self._executor.open_sandbox(
                    **self._options.arguments,
                    environment=environment,
                    isolation=isolation,
                    log=self._log,
                    runtimes=runtimes_of(language),
                )
                self._closing.callback(self._open[key].close)
            return self._open[key]

    def close(self) -> None:
        """Close what was opened, whatever closing one of them raises. Idempotent."""
        self._open.clear()
        self._closing.close()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()
