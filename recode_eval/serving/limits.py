"""What a reward server takes at most: sizes, numbers and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recode_eval.checks import named_fields_only, whole, within
from recode_eval.errors import UsageError
from recode_eval.serving.client import MOST_AT_ONCE

SHORTEST_WAIT_S: Final = 10.0
"""What an answer has for its verdict, however little its request gives."""
LONGEST_NAME: Final = 1000
"""Characters of a task's name, or a problem's id."""
MOST_IN_A_LIST: Final = 100_000
"""Answers, or rewards, in one request, whatever the server's own limit is."""


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """The limits of one server; beyond them a request is refused, and nothing is graded.

    >>> ServerLimits(batch=64).queue
    4096
    """

    body_mib: float = 64.0
    """Largest body of a request, MiB."""
    body_s: float = 60.0
    """Longest time for a body to arrive, seconds."""
    batch: int = 1024
    """Most answers in one request; at least 64, which `RewardClient` sends, at most 100,000."""
    queue: int = 4096
    """Most answers that wait or run; at least one batch."""
    answer_s: float = 600.0
    """Longest time for an answer, seconds: what waits then is unscored."""
    sessions: int = 256
    """Most WebSocket sessions (OpenEnv)."""
    connections: int = 2048
    grace_s: float = 60.0
    """At the end, seconds for what runs."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for a limit that lets nothing through."""
        for name, low, high in (
            ("body_mib", 0.001, 4096), ("body_s", 0.01, 86400),
            ("answer_s", 0.01, 86400), ("grace_s", 0, 86400),
        ):  # fmt: skip
            within(name, getattr(self, name), low, high)
        for name in ("queue", "sessions", "connections"):
            whole(name, getattr(self, name), 1)
        whole("batch", self.batch, MOST_AT_ONCE)
        within("batch", self.batch, MOST_AT_ONCE, MOST_IN_A_LIST)
        if self.queue < self.batch:
            raise UsageError(
                f"queue must be at least batch ({self.batch}), not {self.queue}: a full batch "
                "would never find room."
            )

    @property
    def body_bytes(self) -> int:
        """The largest body in bytes."""
        return int(self.body_mib * (1 << 20))
