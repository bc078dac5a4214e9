from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from recode_eval.models.base import Completion, FinishReason
from recode_eval.run import progress
from recode_eval.run.grading import Unscored

COMPLETION = Completion("p", 0, "x", FinishReason.STOP)


def go(monitor: progress.Monitor, samples: int = 4) -> None:
    monitor.begin(samples=samples, generated=1, graded=0)
    for _ in range(samples - 1):
        monitor.generated(COMPLETION)
    for sample in range(samples):
        monitor.graded(Unscored("p", sample, "why"))
    monitor.log("watch\x1b[2J out")
    monitor.end()


def test_bars_show_both_counts_and_go_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, markup=False, highlight=False)
    monkeypatch.setattr(progress, "stderr_console", lambda: console)
    monitor = progress.BarMonitor()
    go(monitor)
    go(monitor, samples=7)  # a second run with the same monitor
    monitor.graded(Unscored("p", 0, "late"))  # the recorder may be a moment behind
    shown = screen.getvalue()
    for part in ("generated", "graded", "4/4", "7/7", "watch\\x1b[2J out"):
        assert part in shown


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LOG_EVERY_S", 0.0)
    go(progress.LogMonitor())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "4 samples, 1 generated and 0 graded before"
    assert lines[-2].startswith("generated 4/4, graded 4/4 (")
    assert lines[-1] == "watch\\x1b[2J out"


def test_a_log_nobody_reads_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """`recode-eval ... 2>&1 | head` ended a run of hours, by an error in the recorder's thread."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    go(progress.LogMonitor())
