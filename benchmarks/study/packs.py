"""Pack the runs of a study for the example leaderboard.

    python -m benchmarks.study.packs FOLDER docs/example-runs/study

One pack a model: its answers to the test problems. `models.yaml` beside the packs says what a model
was trained from, and by which method. Of the study on a CPU, six arms and two seeds of every start
keep the packs small; docs/study.md has all of them. Of a comparison (`smollm2.py`, `recode-train
compare`) every model's run on one task is packed. What a run says of its machine is left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.study.design import BASE, Job, Sizes
from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ARMS: Final = {
    "sft": "SFT",
    "sft-few": "SFT, few pairs",
    "rft": "RFT",
    "grpo": "GRPO",
    "dapo": "DAPO",
    "sft-grpo": "SFT, then GRPO",
}
"""The arms that are packed, with the names of their methods."""
SEEDS: Final = (1, 2)
COMPARISON: Final = "comparison.json"
_RUN: Final = "test-sampled/*/*/results.json"


@dataclass(frozen=True, slots=True)
class Packed:
    """A run that is packed, and what is known of its model."""

    name: str
    run: Path
    base: str
    method: str


def packed_jobs(starts: int) -> Iterator[Job]:
    """Yield the trainings, and the starts themselves, whose runs are packed."""
    for start in range(1, starts + 1):
        yield Job(start)
        for arm in ARMS:
            for seed in SEEDS:
                yield Job(start, arm, seed)


def run_of(study: Path, job: Job) -> Path:
    """Return the folder of a model's run on the test problems; raises `DataError` without it."""
    found = sorted((study / "runs" / job.name).glob(_RUN))
    if len(found) != 1:
        raise DataError(f"{study} has {len(found)} runs of {job.name} on the test problems.")
    return found[0].parent


def of_study(study: Path, starts: int) -> list[Packed]:
    """Return the runs of a study on a CPU; raises `DataError` if it is not whole."""
    return [
        Packed(job.name, run_of(study, job), f"start {job.start}",
               "untrained" if job.arm == BASE else ARMS[job.arm])
        for job in packed_jobs(starts)
    ]  # fmt: skip


def of_comparison(folder: Path, task: str) -> list[Packed]:
    """Return the greedy runs of a comparison on a task; raises `DataError` without any."""
    content = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
    found = []
    for arm in content["arms"]:
        names = [BASE] if arm == BASE else [f"{arm}-seed{seed}" for seed in content["seeds"]]
        method = "untrained" if arm == BASE else ARMS.get(arm, arm)
        for name in names:  # a training without a result has no run
            for run in (folder / "runs" / "greedy" / name).glob(f"*/{task}-*/results.json"):
                found.append(Packed(name, run.parent, Path(content["model"]).stem, method))
    if not found:
        raise DataError(f"{folder} has no run on {task}.")
    return found


def write(packed: Sequence[Packed], out: Path) -> list[Path]:
    """Write the packs and `models.yaml` into a folder; return the packs.

    Raises what packing raises.
    """
    import yaml

    from recode_eval.leaderboard.submissions import public_copy
    from recode_eval.run.archive import pack
    from recode_eval.run.results_file import read_run
    from recode_eval.run.store import RESULTS

    out.mkdir(parents=True, exist_ok=True)
    entries, packs = [], []
    for item in packed:
        packs.append(out / f"{item.name}.tar.zst")
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary, "run")
            public_copy(item.run, copy)
            pack(copy, packs[-1])
        model = read_run(item.run / RESULTS).model
        entries.append({"match": model, "base": item.base, "method": item.method})
    text = yaml.safe_dump({"models": entries}, sort_keys=False)
    (out / "models.yaml").write_text(text, encoding="utf-8")
    return packs


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("out", type=Path, help="folder of the packs")
    parser.add_argument("--starts", type=int, default=Sizes().starts, help="(%(default)s)")
    parser.add_argument("--task", default="migration", help="of a comparison (%(default)s)")
    arguments = parser.parse_args(words)
    if (arguments.study / COMPARISON).is_file():
        packed = of_comparison(arguments.study, arguments.task)
    else:
        packed = of_study(arguments.study, arguments.starts)
    packs = write(packed, arguments.out)
    size = sum(file.stat().st_size for file in packs)
    print(f"{len(packs)} packs, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
