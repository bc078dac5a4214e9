"""User ids for programs: no two sandboxes of one machine use the same ones at the same time.

What the kernel limits per user id (processes, pipes) would otherwise be shared, and on the tiers
without own namespaces one sandbox would kill the programs of the other when it cleans up.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading

_FIRST = 20000
_PER_RANGE = 64
_SLOTS = _PER_RANGE // 2
"""Each slot has two ids: one for programs, one for the helpers that clean up after them."""
_RANGES = 600


class UserIds:
    """The user ids of one sandbox; thread-safe. `close` gives them back, and so does the exit.

    A range is claimed by a name among the machine's abstract sockets: the kernel frees it with its
    last holder, however that ends. Names belong to a network namespace, so a container that hides
    the machine's cannot see the claims made outside of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: list[socket.socket] = []
        self._starts: list[int] = []

    def of(self, slot: int) -> int:
        """The user id of a worker, from 20000 to 58399; the same one for the same slot."""
        with self._lock:
            while len(self._starts) <= slot // _SLOTS:
                self._starts.append(self._claim())
            return self._starts[slot // _SLOTS] + slot % _SLOTS

    def guard_of(self, slot: int) -> int:
        """The real user id of a worker's helpers, which no program may signal."""
        return self.of(slot) + _SLOTS

    def _claim(self) -> int:
        """Claim a free range; if none is free, share one."""
        offset = secrets.randbelow(_RANGES)
        for number in range(_RANGES):
            start = _FIRST + _PER_RANGE * ((offset + number) % _RANGES)
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0recode-eval-users-{start}")
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            return start
        return _FIRST + _PER_RANGE * offset

    def close(self) -> None:
        """Give the ranges back: no program may run under them any more. Idempotent."""
        with self._lock, contextlib.suppress(OSError):
            for claim in self._claims:
                claim.close()
            self._claims.clear()

    def __del__(self) -> None:
        """A sandbox that could not be opened is never closed."""
        with contextlib.suppress(AttributeError):
            self.close()
