"""Pack the runs of a study for the example leaderboard.

    python -m benchmarks.study.packs FOLDER docs/example-runs/study

One pack a model: its answers to the test problems. `models.yaml` beside the packs says what a model
was trained from, and by which method. Of the study on a CPU, six arms and two seeds of every start
keep the packs small; docs/study.md has all of them. Of a comparison (`smollm2.py`, `recode-train
compare`) every model's run on one task is packed. What a run says of its machine is left out.
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
COMPARISON: Final = "comparison.json"
MODELS: Final = "models.yaml"
Chosen = tuple[dict[str, Path], list[dict[str, str]]]
"""Runs by the names of their packs, and facts about their models."""
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


def of_study(study: Path, starts: int) -> Chosen:
    """Return what is packed of a study on a CPU; raises `DataError` if it is not whole."""
    from recode_eval.run.results_file import read_run
    from recode_eval.run.store import RESULTS

    jobs = list(packed_jobs(starts))
    runs = {job.name: run_of(study, job) for job in jobs}
    models = [
        {
            "match": read_run(runs[job.name] / RESULTS).model,
            "base": f"start {job.start}",
            "method": "untrained" if job.arm == BASE else ARMS[job.arm],
        }
        for job in jobs
    ]
    return runs, models


def of_comparison(folder: Path, task: str) -> Chosen:
    """Return the greedy runs of a comparison on a task, and what it wrote down of its models.

    Raises `DataError` without any run.
    """
    import yaml

    place = folder / "runs" / "greedy"
    found = sorted(place.glob(f"*/*/{task}-*/results.json"))
    if not found:
        raise DataError(f"{folder} has no run on {task}.")
    content = yaml.safe_load((folder / MODELS).read_text(encoding="utf-8"))
    # Logs of trainings are not packed.
    models = [{k: v for k, v in item.items() if k != "training"} for item in content["models"]]
    return {file.relative_to(place).parts[0]: file.parent for file in found}, models


def write(chosen: Chosen, out: Path) -> list[Path]:
    """Write the packs and `models.yaml` into a folder; return the packs.

    Raises what packing raises.
    """
    import yaml

    from recode_eval.leaderboard.submissions import public_copy
    from recode_eval.run.archive import pack

    runs, models = chosen
    out.mkdir(parents=True, exist_ok=True)
    packs = []
    for name, run in runs.items():
        packs.append(out / f"{name}.tar.zst")
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary, "run")
            public_copy(run, copy)
            pack(copy, packs[-1])
    text = yaml.safe_dump({"models": models}, sort_keys=False)
    (out / MODELS).write_text(text, encoding="utf-8")
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
        chosen = of_comparison(arguments.study, arguments.task)
    else:
        chosen = of_study(arguments.study, arguments.starts)
    packs = write(chosen, arguments.out)
    size = sum(file.stat().st_size for file in packs)
    print(f"{len(packs)} packs, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
