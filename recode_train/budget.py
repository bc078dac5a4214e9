"""Count what a run has done and spent; part of every checkpoint, so it survives a kill."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Budget:
    """Counts over all processes from the first step on, across interruptions."""

    tokens_generated: int = 0
    """Tokens of sampled completions, those of dropped groups included."""
    tokens_trained: int = 0
    """Tokens that had a loss, each as often as it had one; GRPO and DAPO count them when their
    generation begins."""
    completions_generated: int = 0
    groups_sampled: int = 0
    groups_flat: int = 0
    """Groups whose decisive rewards were all equal."""
    groups_masked: int = 0
    """Flat groups, masked, that filled a batch after the last round of dynamic sampling."""
    groups_surplus: int = 0
    """Varied groups that a batch had no room for."""
    refill_cursor: int = 0
    """Position in the stream of prompts that dynamic sampling draws from."""
    tool_calls: int = 0
    """Calls of the tools `run` and `read`."""
    programs_submitted: int = 0
    rollouts_unscored: int = 0
    """Rollouts without a reward because the machine failed one of their tools."""
    updates_idle: int = 0
    """Updates without any gradient: they were skipped."""
    updates_idle_in_a_row: int = 0
    """Those among them since the last update that had one."""
    updates_at_rate_zero: int = 0
    """Updates with a gradient, but a learning rate of 0, as the first one of a warm-up has."""
    seconds: float = 0.0
    """Wall time of training, and of sampling before it, without loading and evaluations. An
    interruption loses the time since the last checkpoint."""
    cpu_seconds: float = 0.0
    """CPU time of all processes of the training (not of sandboxes and servers)."""

    _wall: float | None = field(default=None, repr=False, compare=False)
    _cpu: float | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Budget:
        """Return the counts of which `as_dict` made `content`; unknown entries are ignored."""
        names = {item.name for item in fields(cls) if not item.name.startswith("_")}
        return cls(**{name: value for name, value in content.items() if name in names})

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if not name.startswith("_")
        }

    def skip(self) -> None:
        """Do not count the time since the last tick."""
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def elapsed(self) -> float:
        """Return the wall time so far, that since the last tick included."""
        return self.seconds + (0.0 if self._wall is None else time.monotonic() - self._wall)

    def tick(self) -> float:
        """Count the wall time since the last tick, and return this process's CPU time since then.

        The caller adds up the CPU time over the processes.
        """
        wall, cpu = time.monotonic(), time.process_time()
        spent = 0.0 if self._cpu is None else cpu - self._cpu
        if self._wall is not None:
            self.seconds += wall - self._wall
        self._wall, self._cpu = wall, cpu
        return spent
