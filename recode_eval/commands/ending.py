"""How a long command ends: what came of it, how long it took, and what to do next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ending:
    """Measures a command from its creation, and says its last lines on standard error.

    >>> ending = Ending(quiet=True)
    >>> ending.say("2 runs are packed", ["send pack.tar.zst"])
    """

    def __init__(self, *, quiet: bool) -> None:
        """Start the clock; `quiet`: say nothing."""
        self._quiet = quiet
        self._begun = time.monotonic()

    def say(self, done: str, following: Sequence[str] = (), *, well: bool = True) -> None:
        """Print what is done and the steps that may follow; green if all went `well`."""
        if self._quiet:
            return
        from recode_eval.terminal import one_line, stderr_console

        console = stderr_console()
        took = duration(time.monotonic() - self._begun)
        style = "green" if well else "yellow"
        console.print(f"{one_line(done)} ({took}).", style=style, soft_wrap=True)
        for step in following:
            console.print(f"Next: {one_line(step)}", soft_wrap=True)


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(0.4), duration(75), duration(7322)
    ('0.4 s', '1:15 min', '2:02 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02} h"
