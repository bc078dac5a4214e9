"""Show a run's progress: bars on a terminal, occasional lines in a log, or nothing."""

from __future__ import annotations

import inspect
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from recode_eval.errors import UsageError
from recode_eval.terminal import one_line, stderr_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from recode_eval.run.grading import Unscored
    from recode_eval.run.records import CompletionRecord, ScoreRecord

_LOG_EVERY_S = 15.0
WARNING = "warning: "
"""How a message begins that the user should act on; others are notes, and have no colour."""


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """An event for a progress callback; the counts are those of the running task."""

    kind: Literal["begin", "generated", "graded", "log", "end"]
    samples: int = 0
    """Samples that the run is to have."""
    generated: int = 0
    """Samples that are stored, those of earlier calls included."""
    graded: int = 0
    """Samples that are graded or could not be, those of earlier calls included."""
    message: str = ""
    """Of a `log` event: something the user should know."""


@runtime_checkable
class Monitor(Protocol):
    """An observer of a run's progress (a progress bar); called from several threads."""

    def begin(self, *, samples: int, generated: int, graded: int) -> None:
        """Announce the total, and how much of it was stored already."""
        ...

    def generated(self, record: CompletionRecord) -> None:
        """One more sample is stored."""
        ...

    def graded(self, record: ScoreRecord | Unscored) -> None:
        """One more sample is graded, or could not be."""
        ...

    def log(self, text: str) -> None:
        """Something the user should know."""
        ...

    def end(self) -> None:
        """The run is over, however it ended."""
        ...


class _Passes:
    """The share of samples that passed, of those graded since the start."""

    def __init__(self) -> None:
        self._tested = self._passed = 0

    def count(self, record: ScoreRecord | Unscored) -> None:
        """Take in a grade; samples without tests say nothing about passing."""
        conditions = getattr(record, "conditions", None)
        if conditions is None:
            return
        first: dict[str, Any] = next(iter(conditions.values()), {})
        self._tested += 1
        self._passed += bool(first.get("passed"))

    def __str__(self) -> str:
        """Say the share, or nothing before the first pass or failure is known."""
        return f"{100 * self._passed / self._tested:.0f} % pass" if self._tested else ""


class SilentMonitor:
    """A monitor that shows nothing and keeps the messages (for library use and `--quiet`)."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def begin(self, *, samples: int, generated: int, graded: int) -> None:
        """Ignore."""

    def generated(self, record: CompletionRecord) -> None:
        """Ignore."""

    def graded(self, record: ScoreRecord | Unscored) -> None:
        """Ignore."""

    def log(self, text: str) -> None:
        """Keep the note."""
        self.messages.append(text)

    def end(self) -> None:
        """Ignore."""


class CallbackMonitor:
    """Tells a function of every event; calls it from one thread at a time."""

    def __init__(self, callback: Callable[[ProgressEvent], None]) -> None:
        self._callback = callback
        self._lock = threading.Lock()
        self._samples = self._generated = self._graded = 0

    def _tell(self, kind: Any, message: str = "") -> None:
        self._callback(ProgressEvent(kind, self._samples, self._generated, self._graded, message))

    def begin(self, *, samples: int, generated: int, graded: int) -> None:
        """Announce the total."""
        with self._lock:
            self._samples, self._generated, self._graded = samples, generated, graded
            self._tell("begin")

    def generated(self, record: CompletionRecord) -> None:
        """Count."""
        del record
        with self._lock:
            self._generated += 1
            self._tell("generated")

    def graded(self, record: ScoreRecord | Unscored) -> None:
        """Count."""
        del record
        with self._lock:
            self._graded += 1
            self._tell("graded")

    def log(self, text: str) -> None:
        """Hand the message on."""
        with self._lock:
            self._tell("log", text)

    def end(self) -> None:
        """Announce the end."""
        with self._lock:
            self._tell("end")


class NotebookProgress:
    """A progress callback for notebooks: one output cell with a bar, replaced as the run goes."""

    def __init__(self, every_s: float = 0.5) -> None:
        """Redraw at most once per `every_s` seconds."""
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        self._every_s = every_s
        self._shown = 0.0
        self._messages: list[str] = []
        self._handle = display(self, display_id=True)
        self._event = ProgressEvent("begin")

    def __call__(self, event: ProgressEvent) -> None:
        """Take an event."""
        if event.kind == "log":
            self._messages = [*self._messages, one_line(event.message)][-5:]
        self._event = event
        now = time.monotonic()
        if event.kind in {"generated", "graded"} and now - self._shown < self._every_s:
            return
        self._shown = now
        if self._handle is not None:
            self._handle.update(self)

    def _repr_html_(self) -> str:
        from html import escape

        event = self._event
        rows = "".join(
            f'<tr><td>{name}</td><td><progress max="{max(event.samples, 1)}" value="{done}">'
            f"</progress></td><td>{done} of {event.samples}</td></tr>"
            for name, done in (("generated", event.generated), ("graded", event.graded))
        )
        said = "".join(f"<div>{escape(message)}</div>" for message in self._messages)
        return f"<table>{rows}</table>{said}"

    def __repr__(self) -> str:
        """The same as text."""
        event = self._event
        return f"generated {event.generated}, graded {event.graded} of {event.samples}"


Progress = Callable[[ProgressEvent], None] | Monitor | bool | None
"""What the library's functions take as `progress`: a callback, a `Monitor`, True (a bar on a
terminal or in a notebook, lines elsewhere) or None (nothing is printed)."""


def resolve_monitor(progress: Progress) -> Monitor:
    """Return the monitor that `progress` asks for."""
    if progress is None or progress is False:
        return SilentMonitor()
    if progress is True:
        if _in_notebook():
            return CallbackMonitor(NotebookProgress())
        return create_monitor(quiet=False)
    if isinstance(progress, Monitor):
        return progress
    if not callable(progress) or inspect.iscoroutinefunction(progress):
        raise UsageError(f"progress must be a function, a Monitor, True or None, not {progress!r}.")
    return CallbackMonitor(progress)


def _in_notebook() -> bool:
    """Whether this is a kernel of Jupyter; IPython is asked only if it is loaded already."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class BarMonitor:
    """Two progress bars on standard error: generated and graded, with rate and time left."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._progress: RichProgress | None = None
        self._passes = _Passes()
        self._bars: dict[str, TaskID] = {}

    def begin(self, *, samples: int, generated: int, graded: int) -> None:
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
            TextColumn("{task.fields[score]}"),
            console=self._console,
            transient=True,
        )
        for name, done in (("generated", generated), ("graded", graded)):
            self._bars[name] = self._progress.add_task(
                name, total=samples, completed=done, score=""
            )
        self._progress.start()

    def generated(self, record: CompletionRecord) -> None:
        """Advance the first bar."""
        del record
        self._advance("generated")

    def graded(self, record: ScoreRecord | Unscored) -> None:
        """Advance the second bar, and update the score beside it."""
        self._passes.count(record)
        self._advance("graded")
        if progress := self._progress:
            progress.update(self._bars["graded"], score=str(self._passes))

    def _advance(self, name: str) -> None:
        if progress := self._progress:
            progress.advance(self._bars[name])

    def log(self, text: str) -> None:
        """Print above the bars; a warning is yellow, a note has no colour."""
        style = "yellow" if text.startswith(WARNING) else ""
        self._console.print(one_line(text), style=style, soft_wrap=True)

    def end(self) -> None:
        """Remove the bars."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class LogMonitor:
    """A line every quarter of a minute, for logs and CI."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples = self._generated = self._graded = self._new = 0
        self._passes = _Passes()
        self._begun = self._shown = time.monotonic()

    def begin(self, *, samples: int, generated: int, graded: int) -> None:
        """Print the total."""
        self._samples, self._generated, self._graded = samples, generated, graded
        self._new = 0
        self._begun = self._shown = time.monotonic()
        stored = f", {generated} generated and {graded} graded before" if generated else ""
        self.log(f"{samples} samples{stored}")

    def generated(self, record: CompletionRecord) -> None:
        """Count."""
        del record
        with self._lock:
            self._generated += 1
            self._show()

    def graded(self, record: ScoreRecord | Unscored) -> None:
        """Count."""
        with self._lock:
            self._passes.count(record)
            self._graded += 1
            self._new += 1
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < _LOG_EVERY_S:
            return
        self._shown = now
        rate = self._new / (now - self._begun)
        left = f", {(self._samples - self._graded) / rate:.0f} s left" if rate else ""
        self.log(
            f"generated {self._generated}/{self._samples}, "
            f"graded {self._graded}/{self._samples} ({rate:.1f}/s{left})"
            f"{', ' if str(self._passes) else ''}{self._passes}"
        )

    def log(self, text: str) -> None:
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
