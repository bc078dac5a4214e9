"""Telling how a training goes: events for a callback, or lines on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from recode_eval.terminal import one_line

_LINE_EVERY_S: Final = 15.0
_SHOWN: Final = ("loss", "reward", "grad_norm", "completions/mean_length")
"""Figures of a step that a line shows, where the algorithm has them."""


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """What a progress callback is told; it is called in the training's own thread."""

    kind: Literal["log", "step", "evaluation"]
    training: str = ""
    """Name of the training's folder, such as `grpo-seed1`; empty for a comparison's own events."""
    step: int = 0
    """Steps done, those of earlier calls included."""
    steps: int = 0
    """Steps that the training is to have."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Of a step: its line in `train.jsonl`. Of an evaluation: task name to its figures."""
    message: str = ""
    """Of a `log` event: something the user should know."""


ProgressCallback = Callable[[TrainEvent], None]
Progress = ProgressCallback | bool | None
"""What the library's functions take as `progress`: a callback, True (lines on standard error) or
None (nothing is printed)."""


def resolve_progress(progress: Progress) -> ProgressCallback:
    """Return the callback that `progress` asks for."""
    if progress is None or progress is False:
        return lambda _: None
    return ProgressLines() if progress is True else progress


def step_event(training: str, steps: int, line: Mapping[str, Any]) -> TrainEvent:
    """Return the event of a line of `train.jsonl`."""
    if "evaluation" in line:
        return TrainEvent("evaluation", training, line["step"], steps, line["evaluation"])
    return TrainEvent("step", training, line["step"], steps, line)


class ProgressLines:
    """Prints messages and evaluations at once, and a step every quarter of a minute."""

    def __init__(self, every_s: float = _LINE_EVERY_S) -> None:
        self._every_s = every_s
        self._shown = float("-inf")

    def __call__(self, event: TrainEvent) -> None:
        """Print a line; the training goes on if nobody reads it any more."""
        if event.kind == "step":
            now = time.monotonic()
            if now - self._shown < self._every_s and event.step < event.steps:
                return
            self._shown = now
        with suppress(OSError):
            print(one_line(as_text(event)), file=sys.stderr, flush=True)


def as_text(event: TrainEvent) -> str:
    """Return an event as a line.

    >>> as_text(TrainEvent("step", "grpo", 3, 80, {"step": 3, "loss": 0.25, "reward": -1.5}))
    'grpo: step 3 of 80, loss 0.25, reward -1.5'
    """
    name = f"{event.training}: " if event.training else ""
    if event.kind == "log":
        return name + event.message
    place = f"{name}step {event.step} of {event.steps}"
    if event.kind == "step":
        return ", ".join([place, *_figures({k: event.figures.get(k) for k in _SHOWN})])
    tasks = (f"{task} ({', '.join(_figures(found))})" for task, found in event.figures.items())
    return f"{place}, evaluated: {', '.join(tasks)}"


def _figures(found: Mapping[str, Any]) -> list[str]:
    return [f"{k} {v:.4g}" for k, v in found.items() if isinstance(v, int | float)]
