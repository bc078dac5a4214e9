"""What the demonstration's arms gained over several starts, with the variance between starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recode_train.comparing.arms import BASE
from recode_train.comparing.evaluating import stored_runs
from recode_train.comparing.starts import OverStarts, over_starts
from recode_train.demo.comparing import ARMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def gains(folders: Sequence[Path], seeds: Sequence[int]) -> dict[str, OverStarts]:
    """Return each arm's gain in sampled pass@1 over its start; a folder is a start's comparison.

    An arm without a result from one of the starts is left out.
    """
    found = {}
    for arm in ARMS:
        differences = []
        for folder in folders:
            before = _rates(folder, BASE)
            after = [_rates(folder, f"{arm}-seed{seed}") for seed in seeds]
            known = [rates for rates in after if rates]
            if known and before:
                differences.append({
                    key: math.fsum(rates[key] for rates in known) / len(known) - rate
                    for key, rate in before.items()
                })  # fmt: skip
        if len(differences) == len(folders):
            found[arm] = over_starts(differences)
    return found


def _rates(folder: Path, name: str) -> Mapping[str, float]:
    """Return the share of passing answers by problem; nothing where there is no result."""
    runs = stored_runs(folder / "runs" / "sampled" / name)
    return {p.id: (p.passed or 0) / p.n for run in runs for p in run.results.problems}


def lines(folders: Sequence[Path], seeds: Sequence[int]) -> list[str]:
    """Return a line for each arm, and before them what the lines say."""
    first = (
        f"Gain in sampled pass@1 over {len(folders)} starts (seeds 0 to {len(folders) - 1}), each "
        f"trained with the seeds {', '.join(map(str, seeds))}; 95 % intervals count problems and "
        "starts:"
    )
    said = [first]
    for arm, item in gains(folders, seeds).items():
        ends = (
            ""
            if item.low is None or item.high is None
            else (f" [{100 * item.low:+.1f}, {100 * item.high:+.1f}]")
        )
        each = ", ".join(f"{100 * mean:+.1f}" for mean in item.means)
        said.append(f"  {arm:<5} {100 * item.value:+.1f}{ends} points (from each start: {each})")
    return said
