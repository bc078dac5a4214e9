"""The table of a miner's stages: what each took in, gave out and lost, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval.tables import borderless
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from recode_eval.mining.pipeline import Mined

_REASONS = 6


def as_json(mined: Mined) -> dict[str, Any]:
    """Return what `--json` prints: the stages, and the candidates by kind."""
    return {
        "folder": str(mined.folder),
        "candidates": len(mined.candidates),
        "executed": sum(candidate.executed for candidate in mined.candidates),
        "noted": sum(candidate.note is not None for candidate in mined.candidates),
        "kinds": by_kind(mined),
        "stages": [msgspec.to_builtins(stage) for stage in mined.stages],
    }


def by_kind(mined: Mined) -> dict[str, int]:
    """Count the candidates by kind, the most frequent first."""
    counts: dict[str, int] = {}
    for candidate in mined.candidates:
        counts[candidate.kind] = counts.get(candidate.kind, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def stage_table(mined: Mined) -> Table:
    """Return the stages as a table; what libraries said is made safe to print."""
    from rich.text import Text

    table = borderless()
    for title, side in (("stage", "left"), ("in", "right"), ("out", "right"), ("lost", "right"),
                        ("seconds", "right"), ("MiB", "right"), ("lost by reason",
                        "left")):  # fmt: skip
        table.add_column(title, justify=side, no_wrap=side == "right")  # type: ignore[arg-type]
    for stage in mined.stages:
        reasons = sorted(stage.lost.items(), key=lambda pair: -pair[1])
        shown = [f"{count} {one_line(reason, 100)}" for reason, count in reasons[:_REASONS]]
        shown += [f"{len(reasons) - _REASONS} more reasons"] if len(reasons) > _REASONS else []
        row = (
            f"{stage.name}{' (stored)' if stage.reused else ''}",
            str(stage.taken),
            str(stage.given),
            str(sum(stage.lost.values())),
            f"{stage.seconds:.1f}",
            f"{stage.memory_bytes >> 20}",
            "; ".join(shown),
        )
        table.add_row(*map(Text, row))
    return table


def summary(mined: Mined) -> str:
    """Return one line about what came out."""
    executed = sum(candidate.executed for candidate in mined.candidates)
    noted = sum(candidate.note is not None for candidate in mined.candidates)
    kinds = ", ".join(f"{count} {kind}" for kind, count in by_kind(mined).items())
    return (
        f"{len(mined.candidates)} candidates ({executed} shown by execution, {noted} named by the "
        f"library's notes): {kinds or 'none'}"
    )
