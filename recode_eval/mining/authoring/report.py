"""Showing what a model wrote and what of it was kept, for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recode_eval.tables import borderless

if TYPE_CHECKING:
    from rich.table import Table

    from recode_eval.mining.authoring.writing import Authored


def yield_table(authored: Authored) -> Table:
    """Return a row per stage: drafts in, drafts out, and the share with its interval."""
    table = borderless(title="drafts")
    table.add_column("stage")
    for name in ("in", "out", "passed", "95 % interval"):
        table.add_column(name, justify="right")
    for stage in authored.stages:
        share = interval = "-"
        if stage.given and stage.low is not None and stage.high is not None:
            share = f"{stage.passed / stage.given:.0%}"
            interval = f"{stage.low:.0%} to {stage.high:.0%}"
        table.add_row(stage.stage, str(stage.given), str(stage.passed), share, interval)
    return table


def summary(authored: Authored) -> str:
    """Return what to read next, in a line or two."""
    lines = [f"{len(authored.pairs)} pairs kept: {authored.folder / 'pairs.jsonl'}"]
    lines.append(f"The others, with reasons: {authored.folder / 'rejected.jsonl'}")
    if authored.skipped:
        lines.append(
            f"{authored.skipped} candidates were not asked about: what is only deprecated still "
            "works, or --limit left them out."
        )
    if authored.undecided:
        lines.append(
            f"{authored.undecided} drafts could not be judged; the same command tries again."
        )
    return "\n".join(lines)


def as_json(authored: Authored) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "folder": str(authored.folder),
        "kept": len(authored.pairs),
        "stages": [asdict(stage) for stage in authored.stages],
        "undecided": authored.undecided,
        "skipped": authored.skipped,
    }
