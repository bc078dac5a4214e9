"""Pack the runs of a study for the example leaderboard.

    python -m benchmarks.study.packs FOLDER docs/example-runs/study

One pack a model: its sampled answers to the test problems. `models.yaml` beside the packs says
which start a model comes from, and by which method. Six arms and two seeds, of every start, keep
the packs small; docs/study.md has all of them. What a run says of its machine is left out; the
path of the model stays, for a run's hash covers it.
"""

from __future__ import annotations

import argparse
import tempfile
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
_RUN: Final = "test-sampled/*/*/results.json"


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


def write(study: Path, out: Path, starts: int) -> list[Path]:
    """Write the packs and `models.yaml` into a new or empty folder; return the packs.

    Raises `DataError` for a study that is not whole, and what packing raises.
    """
    import yaml

    from recode_eval.leaderboard.submissions import public_copy
    from recode_eval.run.archive import pack
    from recode_eval.run.results_file import read_run
    from recode_eval.run.store import RESULTS

    jobs = list(packed_jobs(starts))
    runs = {job: run_of(study, job) for job in jobs}
    out.mkdir(parents=True, exist_ok=True)
    entries, packs = [], []
    for job, run in runs.items():
        packs.append(out / f"{job.name}.tar.zst")
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary, "run")
            public_copy(run, copy)
            pack(copy, packs[-1])
        entries.append({
            "match": read_run(run / RESULTS).model,
            "base": f"start {job.start}",
            "method": "untrained" if job.arm == BASE else ARMS[job.arm],
        })  # fmt: skip
    text = yaml.safe_dump({"models": entries}, sort_keys=False)
    (out / "models.yaml").write_text(text, encoding="utf-8")
    return packs


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("out", type=Path, help="folder of the packs")
    parser.add_argument("--starts", type=int, default=Sizes().starts, help="(%(default)s)")
    arguments = parser.parse_args(words)
    packs = write(arguments.study, arguments.out, arguments.starts)
    size = sum(file.stat().st_size for file in packs)
    print(f"{len(packs)} packs, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
