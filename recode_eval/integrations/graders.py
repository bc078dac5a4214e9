"""The graders that an integration keeps open: one per task, rows and sandbox, until the end."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from recode_eval.forking import RenewedLock
from recode_eval.run.reward import RewardGrader

if TYPE_CHECKING:
    from recode_eval.run.config import SandboxOptions
    from recode_eval.tasks.loading import LoadedTask

_lock = RenewedLock()
_open: dict[tuple[str, str, SandboxOptions], RewardGrader] = {}


def shared_grader(loaded: LoadedTask, options: SandboxOptions) -> RewardGrader:
    """Return the grader of a task; it is closed when the process ends."""
    key = loaded.name, loaded.data.content_hash, options
    with _lock.now:
        if not _open:
            atexit.register(close_all)
        if key not in _open:
            _open[key] = RewardGrader(loaded, options)
        return _open[key]


def close_all() -> None:
    """Close all of them. Idempotent."""
    with _lock.now:
        for grader in _open.values():
            grader.close()
        _open.clear()
