"""Locks that a forked process does not inherit held: the threads that held them are not there."""

from __future__ import annotations

import os
import threading


class RenewedLock:
    """A lock of a module; a forked process begins with a free one.

    >>> lock = RenewedLock()
    >>> with lock.now:
    ...     lock.now.locked()
    True
    """

    def __init__(self) -> None:
        self.now = threading.Lock()
        """The lock of this process: take it anew for each use."""
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.now = threading.Lock()
