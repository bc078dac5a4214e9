"""Mine libraries and print minutes, memory, stage counts, precision and recall for each.

    python benchmarks/mining.py click attrs --sandbox bubblewrap

Each name is a truth list in `tests/mining/truth`, written by hand from release notes, or
`LIBRARY==OLD..NEW`, which has no recall. Precision is the share of the candidates that a probe or
an example showed by execution. A change of the truth list counts as found if a candidate has one of
its names; "and kind" wants the same family of kinds, too.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recode_eval.mining.pipeline import MineConfig, mine
from recode_eval.run.config import SandboxOptions
from recode_eval.run.progress import create_monitor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.mining.candidates import Candidate
    from recode_eval.mining.pipeline import Mined

TRUTH = Path(__file__).resolve().parent.parent / "tests" / "mining" / "truth"
FAMILIES = (
    {"removed", "renamed", "moved", "newly-deprecated"},
    {"argument-renamed", "argument-added", "argument-removed", "argument-reordered",
     "argument-keyword-only", "default-changed", "newly-deprecated"},
    {"return-changed", "behaviour-changed", "default-changed"},
)  # fmt: skip


@dataclass(frozen=True)
class Recall:
    """How many changes of a truth list are among the candidates."""

    changes: int
    found: int
    found_with_kind: int
    missed: list[str]


def recall(truth: Sequence[dict[str, Any]], candidates: Sequence[Candidate]) -> Recall:
    by_name: dict[str, set[str]] = {}
    for candidate in candidates:
        for name in {candidate.api, *candidate.names}:
            by_name.setdefault(name, set()).add(candidate.kind)
    found = with_kind = 0
    missed = []
    for change in truth:
        kinds = {kind for api in change["apis"] for kind in by_name.get(api, ())}
        found += bool(kinds)
        with_kind += any(change["kind"] in family and kinds & family for family in FAMILIES)
        if not kinds:
            missed.append(f"{change['kind']} {change['apis'][0]}: {change['note']}")
    return Recall(len(truth), found, with_kind, missed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("libraries", nargs="+")
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument(
        "--out", type=Path, help="keep the results here (default: a temporary folder)"
    )
    parser.add_argument("--missed", action="store_true", help="name what the candidates lack")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = arguments.out or Path(scratch)
        rows = [_measure(name, out, arguments.sandbox) for name in arguments.libraries]
    if arguments.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    for row in rows:
        print(
            f"{row['library']} {row['old']} -> {row['new']}: {row['minutes']:.1f} min, "
            f"{row['memory_mib']} MiB, {row['candidates']} candidates, precision "
            f"{row['precision']:.0%}, recall {row['found']}/{row['changes']}, "
            f"and kind {row['found_with_kind']}/{row['changes']}"
        )
        print("   " + ", ".join(f"{name} {n}" for name, n in row["stages"].items()))
        for line in row["missed"] if arguments.missed else ():
            print(f"   missed: {line}")
    changes, found = sum(r["changes"] for r in rows), sum(r["found"] for r in rows)
    candidates = sum(row["candidates"] for row in rows)
    executed = sum(row["executed"] for row in rows)
    print(
        f"together: recall {found}/{changes} ({found / max(1, changes):.1%}), precision "
        f"{executed}/{candidates} ({executed / max(1, candidates):.1%})"
    )


def _measure(name: str, out: Path, sandbox: str) -> dict[str, Any]:
    match = re.fullmatch(r"(.+)==(.+)\.\.(.+)", name)
    truth: list[dict[str, Any]] = []
    if match:
        library, old, new = match.groups()
    else:
        content = yaml.safe_load((TRUTH / f"{name}.yaml").read_text(encoding="utf-8"))
        library, old, new, truth = (content[key] for key in ("library", "old", "new", "changes"))
    config = MineConfig(
        library=library,
        old=old,
        new=new,
        out=out / f"{library}-{old}-{new}",
        sandbox=SandboxOptions(tier=sandbox),
    )
    began = time.monotonic()
    mined: Mined = mine(config, create_monitor(quiet=True))
    seconds = time.monotonic() - began
    measured = recall(truth, mined.candidates)
    executed = sum(candidate.executed for candidate in mined.candidates)
    return {
        "library": library,
        "old": old,
        "new": new,
        "minutes": seconds / 60,
        "stage_minutes": sum(stage.seconds for stage in mined.stages) / 60,
        "memory_mib": max(stage.memory_bytes for stage in mined.stages) >> 20,
        "candidates": len(mined.candidates),
        "executed": executed,
        "precision": executed / max(1, len(mined.candidates)),
        "changes": measured.changes,
        "found": measured.found,
        "found_with_kind": measured.found_with_kind,
        "missed": measured.missed,
        "stages": {stage.name: f"{stage.taken}>{stage.given}" for stage in mined.stages},
    }


if __name__ == "__main__":
    main()
