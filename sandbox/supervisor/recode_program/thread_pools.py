"""Let `multiprocessing.pool.ThreadPool` work where programs have no `/dev/shm`.

It only starts threads, but asks for a lock between processes, and that is a file in this folder.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import multiprocessing.queues
import threading
from typing import Any, Callable


class _Threads:
    """A context of `multiprocessing` whose locks hold between threads alone."""

    Lock = staticmethod(threading.Lock)

    def SimpleQueue(self) -> Any:  # noqa: N802 - as it is called there
        return multiprocessing.queues.SimpleQueue(ctx=self)

    def __getattr__(self, name: str) -> Any:
        return getattr(multiprocessing.get_context(), name)


def need_no_semaphores() -> None:
    """Change the class, before any program has it."""
    pool: Any = multiprocessing.pool.Pool

    def __init__(  # noqa: N807 - becomes the method
        self: Any,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Any = (),
    ) -> None:
        pool.__init__(self, processes, initializer, initargs, context=_Threads())

    multiprocessing.pool.ThreadPool.__init__ = __init__  # type: ignore[method-assign]
