"""Processes that share the work of a large site, and how they spare their time."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from recode_eval.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def forked(
    jobs: int, start: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes that share what this one has read, each begun by `start`.

    Raises:
        InfrastructureError: one of them died.
    """
    try:
        with ProcessPoolExecutor(jobs, get_context("fork"), start, arguments) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise InfrastructureError(
            "A process that built the site died, perhaps because memory ran out; --jobs 1 needs "
            "less."
        ) from error


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python from searching for cycles; for work that ends soon.

    The search takes half of the time where millions of samples pass through. They have no cycles,
    and are freed when nothing refers to them any more.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
