"""Jobs that a watch runs as separate processes, as data; `recode_eval.jobs` runs them.

A job is JSON with one key that says what to do: `evaluate` a model, `gate` a candidate, or build
the `site`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recode_eval.run.config import to_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recode_eval.gating.candidate import Candidate
    from recode_eval.gating.spending import Spending
    from recode_eval.run.config import RunConfig

Job = dict[str, Any]


def evaluation_job(config: RunConfig) -> Job:
    """Return the job that evaluates a model; it prints the results."""
    return {"evaluate": to_mapping(config)}


def gate_job(
    candidate: Candidate,
    baseline: Sequence[str],
    policy: Path | None,
    reports: Path,
    spending: Spending | None = None,
) -> Job:
    """Return the job that gates a candidate; it writes verdict.json and more into `reports`.

    `spending` is the verdict's place among those of its training; None: the policy's full level.
    """
    return {
        "gate": {
            "candidate": to_mapping(candidate),
            "baseline": list(baseline),
            "policy": None if policy is None else str(policy),
            "reports": str(reports),
            "spending": None if spending is None else asdict(spending),
        }
    }


def site_job(options: Mapping[str, Any], runs: Path, gates: Path | None) -> Job:
    """Return the job that builds the leaderboard of a watch's runs and verdicts.

    `options` has `out`, `data` (task to file) and `include_paths`.
    """
    return {"site": {**options, "runs": str(runs), "gates": [] if gates is None else [str(gates)]}}
