"""Asynchronous jobs on a thread of their own, their results as an ordinary iterator.

Engines and servers answer out of order, while the caller scores what it already has. Closing the
iterator, or an error, cancels the jobs that run.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

    from recode_eval.models.feed import Feed

_JOIN_SECONDS: Final = 10.0
_END: Final = object()
_T = TypeVar("_T")
_J = TypeVar("_J")


class BackgroundLoop:
    """An event loop that runs in a daemon thread until `close`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run one coroutine to its end; its exception is raised here."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stream(self, jobs: Iterable[Callable[[], Awaitable[_T]]], limit: int) -> Iterator[_T]:
        """Run `jobs`, at most `limit` at a time, and yield each result as soon as it is there.

        The first exception of a job cancels the others; it is raised after the results that were
        there before it.
        """
        waiting = iter(jobs)

        async def worker(results: queue.SimpleQueue[Any]) -> None:
            for job in waiting:
                results.put(await job())

        yield from self._results(worker, limit, lambda _: None)

    def follow(
        self, feed: Feed[_J], job: Callable[[_J], Awaitable[_T]], limit: int
    ) -> Iterator[_T]:
        """Run `job` for what comes out of a feed, until that is closed; else as `stream`."""

        async def worker(results: queue.SimpleQueue[Any]) -> None:
            while (item := await feed.take()) is not None:
                results.put(await job(item))

        yield from self._results(worker, limit, feed.on_cancel)

    def _results(
        self,
        worker: Callable[[queue.SimpleQueue[Any]], Awaitable[None]],
        limit: int,
        on_cancel: Callable[[Callable[[], object]], None],
    ) -> Iterator[Any]:
        """Run `limit` workers and yield what they put."""
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()

        async def one() -> None:
            await worker(results)

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(limit):
                    group.create_task(one())

        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        future.add_done_callback(lambda _: results.put(_END))
        on_cancel(future.cancel)
        try:
            while (result := results.get()) is not _END:
                yield result
        finally:
            future.cancel()
        try:
            if not future.cancelled():
                future.result()
        except BaseExceptionGroup as group:
            raise _first(group) from group

    def close(self) -> None:
        """Stop the loop. Idempotent."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(RuntimeError, TimeoutError):  # stopped in between, or stuck
            asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result(_JOIN_SECONDS)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


async def _end_all() -> None:
    """Cancel what runs in this loop and wait for its end: Python complains of what is left."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
