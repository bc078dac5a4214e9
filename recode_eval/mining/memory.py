"""The peak memory of this process and all below it, its own sandbox workers included."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_EVERY_S = 0.5
_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


class PeakMemory:
    """Samples the proportional memory of the process tree; a context manager.

    A container's processes are the daemon's children, not ours, and are not counted.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-memory", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()

    def restart(self) -> int:
        """Return the peak in bytes so far and begin anew."""
        peak, self.peak_bytes = max(self.peak_bytes, tree_bytes(os.getpid())), 0
        return peak

    def _sample(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(os.getpid()))


def tree_bytes(pid: int) -> int:
    """Return the memory of a process and all its descendants; shared pages count once."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes()
                parent = int(stat.rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, ())
        total += _bytes_of(one)
    return total


def _bytes_of(pid: int) -> int:
    try:
        if match := _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes()):
            return int(match[1]) * 1024
    except OSError:
        pass
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
