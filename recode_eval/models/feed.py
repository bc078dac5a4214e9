"""A queue between threads and an event loop: requests that come while others are answered."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Feed(Generic[_T]):
    """Any thread puts items; coroutines take them, each one once, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: deque[_T] = deque()
        self._takers: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._closed = False
        self._cancel: Callable[[], object] | None = None
        self.cancelled = False

    def put(self, item: _T) -> None:
        """Add an item; it is dropped once the feed is closed."""
        with self._lock:
            if not self._closed:
                self._items.append(item)
                self._wake(1)

    def close(self) -> None:
        """Say that no more come; takers get what is there, then None. Idempotent."""
        with self._lock:
            self._closed = True
            self._wake(len(self._takers))

    def cancel(self) -> None:
        """Close, drop what is there, and stop what was begun with it."""
        with self._lock:
            self.cancelled = True
            self._items.clear()
            hook = self._cancel
        self.close()
        if hook is not None:
            hook()

    def on_cancel(self, hook: Callable[[], object]) -> None:
        """Call `hook` when the feed is cancelled, or at once if it is."""
        with self._lock:
            self._cancel = hook
            late = self.cancelled
        if late:
            hook()

    async def take(self) -> _T | None:
        """Return the next item, waiting for it; None when there will be no more."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if self._items:
                    return self._items.popleft()
                if self._closed:
                    return None
                future: asyncio.Future[None] = loop.create_future()
                self._takers.append((loop, future))
            await future

    def _wake(self, count: int) -> None:
        for _ in range(min(count, len(self._takers))):
            loop, future = self._takers.popleft()
            loop.call_soon_threadsafe(_set, future)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
