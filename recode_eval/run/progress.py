"""Showing how a run goes: bars on a terminal, a line now and then in a log, or nothing."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from recode_eval.terminal import one_line, stderr_console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

    from recode_eval.models.base import Completion
    from recode_eval.run.grading import Unscored
    from recode_eval.run.records import ScoreRecord

_LOG_EVERY_S = 15.0


class Monitor(Protocol):
    """What wants to know how a run goes (a progress bar); called from several threads."""

    def begin(self, *, samples: int, generated: int, judged: int) -> None:
        """Announce the total, and how much of it was stored already."""
        ...

    def generated(self, completion: Completion) -> None:
        """One more sample is stored."""
        ...

    def judged(self, record: ScoreRecord | Unscored) -> None:
        """One more sample is judged, or could not be."""
        ...

    def note(self, text: str) -> None:
        """Something the user should know."""
        ...

    def end(self) -> None:
        """The run is over, however it ended."""
        ...


class SilentMonitor:
    """A monitor that shows nothing and keeps the notes (for library use and `--quiet`)."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, *, samples: int, generated: int, judged: int) -> None:
        """Ignore."""

    def generated(self, completion: Completion) -> None:
        """Ignore."""

    def judged(self, record: ScoreRecord | Unscored) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Keep the note."""
        self.notes.append(text)

    def end(self) -> None:
        """Ignore."""


class BarMonitor:
    """Two progress bars on standard error: generated and judged, with rate and time left."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}

    def begin(self, *, samples: int, generated: int, judged: int) -> None:
        """Show the bars, filled up to what was stored."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            SpinnerColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class RateColumn(ProgressColumn):
            """Samples per second; worked out when it is drawn, not with every sample."""

            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:.1f}/s" if task.speed else "")

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        for name, done in (("generated", generated), ("judged", judged)):
            self._bars[name] = self._progress.add_task(name, total=samples, completed=done)
        self._progress.start()

    def generated(self, completion: Completion) -> None:
        """Advance the first bar."""
        del completion
        self._advance("generated")

    def judged(self, record: ScoreRecord | Unscored) -> None:
        """Advance the second bar."""
        del record
        self._advance("judged")

    def _advance(self, name: str) -> None:
        if progress := self._progress:
            progress.advance(self._bars[name])

    def note(self, text: str) -> None:
        """Print above the bars."""
        self._console.print(one_line(text), style="yellow", soft_wrap=True)

    def end(self) -> None:
        """Remove the bars."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class LogMonitor:
    """A line every quarter of a minute, for logs and CI."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples = self._generated = self._judged = self._new = 0
        self._begun = self._shown = time.monotonic()

    def begin(self, *, samples: int, generated: int, judged: int) -> None:
        """Say what is to do."""
        self._samples, self._generated, self._judged = samples, generated, judged
        self._new = 0
        self._begun = self._shown = time.monotonic()
        stored = f", {generated} generated and {judged} judged before" if generated else ""
        self.note(f"{samples} samples{stored}")

    def generated(self, completion: Completion) -> None:
        """Count."""
        del completion
        with self._lock:
            self._generated += 1
            self._show()

    def judged(self, record: ScoreRecord | Unscored) -> None:
        """Count."""
        del record
        with self._lock:
            self._judged += 1
            self._new += 1
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < _LOG_EVERY_S:
            return
        self._shown = now
        rate = self._new / (now - self._begun)
        left = f", {(self._samples - self._judged) / rate:.0f} s left" if rate else ""
        self.note(
            f"generated {self._generated}/{self._samples}, "
            f"judged {self._judged}/{self._samples} ({rate:.1f}/s{left})"
        )

    def note(self, text: str) -> None:
        """Print a line; who reads the log may go away (`2>&1 | head`) without ending the run."""
        with suppress(OSError):
            print(one_line(text), file=sys.stderr, flush=True)

    def end(self) -> None:
        """Nothing to remove."""


def create_monitor(*, quiet: bool) -> Monitor:
    """Return the monitor that fits where standard error goes."""
    if quiet:
        return SilentMonitor()
    return BarMonitor() if sys.stderr.isatty() else LogMonitor()


@contextmanager
def counting(label: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show one bar on a terminal, and nothing elsewhere; yields what advances it."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=stderr_console(), transient=True) as progress:
        bar = progress.add_task(label, total=total)
        yield lambda: progress.advance(bar)
