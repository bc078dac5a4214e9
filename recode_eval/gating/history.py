"""What a watch remembers: `history.jsonl`, a line per checkpoint, and what follows from the lines.

They say which runs the next checkpoint is compared with, and how much of the training's alpha its
verdict may spend; so both survive any restart.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError
from recode_eval.gating.rule import Verdict
from recode_eval.gating.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HISTORY: Final = "history.jsonl"


class Reference(StrEnum):
    """What a checkpoint is compared with, if not with a stored run."""

    FIRST = "first"
    BEST = "best"
    """The last that was certainly better than the best before it; at first the first one."""
    PREVIOUS = "previous"


class CheckpointStatus(StrEnum):
    """Outcome of a checkpoint; verdicts have their own names."""

    REFERENCE = "reference"
    """Evaluated, to compare others with."""
    FAILED = "failed"
    VANISHED = "vanished"
    BROKEN = "broken"


def read_history(file: Path) -> list[dict[str, Any]]:
    """Return the lines; a torn last one is left out. Raises `DataError` for any other damage."""
    if not file.exists():
        return []
    lines = []
    for number, text in enumerate(file.read_bytes().split(b"\n")[:-1], 1):
        try:
            line = json.loads(text)
            if not isinstance(line["checkpoint"], str) or not isinstance(line["status"], str):
                raise TypeError("checkpoint and status are names")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"{file}, line {number} is damaged ({error}). Delete that line; the next watch "
                "evaluates its checkpoint again from the stored samples."
            ) from error
        lines.append(line)
    return lines


def is_verdict(line: Mapping[str, Any]) -> bool:
    """Tell whether a comparison was made; `invalid` compared nothing."""
    return line["status"] in set(Verdict) and line["status"] != Verdict.INVALID


def reference_runs(lines: Sequence[Mapping[str, Any]], rule: Reference) -> list[str] | None:
    """Return the runs that the next checkpoint is compared with; None: it is the reference."""
    runs = None
    for line in lines:
        # Histories of older versions have no samples of their own for a promoted checkpoint.
        again = line.get("promoted", line.get("runs"))
        better = line["status"] == Verdict.PASS and line.get("improved") and again
        if rule is Reference.BEST and better:
            runs = again
        elif line["status"] == CheckpointStatus.REFERENCE or (
            rule is Reference.PREVIOUS and is_verdict(line)
        ):
            runs = line["runs"]
    return runs


def next_spending(lines: Sequence[Mapping[str, Any]], *, promotes: bool) -> Spending:
    """Return the place of the next verdict among those of the training."""
    return Spending(1 + sum(map(is_verdict, lines)), promotes=promotes)


def spent_text(spending: Mapping[str, Any] | None) -> str:
    """Say what a verdict has spent of the training's alpha; empty where it is judged alone."""
    if spending is None:
        return ""
    return (
        f"verdict {spending['number']} of the training, level {spending['level']:.2g}; "
        f"{spending['spent']:.2g} of alpha {spending['alpha']:g} are spent"
    )
