"""Compare ways to train a model made from scratch, on a CPU: several starts, seeds and arms.

    python -m benchmarks.study.cpu FOLDER --hours 2

Every result is one file, so a run that ends (its hours are over, a kill) goes on with the same
command. `python -m benchmarks.study.report FOLDER` prints the tables of docs/study.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.study.design import (
    BASE,
    TUNING_START,
    Job,
    Sizes,
    arms_of,
    compared_jobs,
    tuning_jobs,
)
from benchmarks.study.jobs import CHOICE, Study

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES: Final = "sizes.json"
_DONE: Final = "done"
MINIATURE: Final = Sizes(
    starts=1, seeds=1, rates=(3e-4,), arms=("sft", "sft-grpo"), pairs=16,
    problems=2, untaught=5, samples=4, start_steps=4, updates=4, points=2, batch=8,
)  # fmt: skip
"""For tests: it shows that everything runs, and nothing else."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=2.0, help="start no job after (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="at once (%(default)s)")
    parser.add_argument("--starts", type=int, default=Sizes().starts, help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=Sizes().seeds, help="(%(default)s)")
    parser.add_argument("--miniature", action="store_true", help="the sizes of the tests")
    parser.add_argument("--sandbox", default="auto", help="tier of the sandbox (%(default)s)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    sizes = dataclasses.replace(Sizes(), starts=arguments.starts, seeds=arguments.seeds)
    folder = arguments.folder.resolve()
    study = Study(folder, MINIATURE if arguments.miniature else sizes, arguments.sandbox)
    if arguments.worker:
        return _work(study)
    study.prepare()
    (folder / SIZES).write_text(json.dumps(dataclasses.asdict(study.sizes)), encoding="utf-8")
    runner = Runner(study, words_of(arguments), time.monotonic() + 3600 * arguments.hours,
                    arguments.processes)  # fmt: skip
    whole = runner.all()
    runner.say("whole" if whole else "not whole: repeat the command to go on")
    return 0 if whole else 75


def words_of(arguments: argparse.Namespace) -> list[str]:
    """Return the command line of a single job, without the job."""
    words = [str(arguments.folder.resolve()), "--sandbox", arguments.sandbox,
             "--starts", str(arguments.starts), "--seeds", str(arguments.seeds)]  # fmt: skip
    return [*words, "--miniature"] if arguments.miniature else words


def _work(study: Study) -> int:
    """Do the jobs that standard input names, one a line, and answer each."""
    import torch

    torch.set_num_threads(1)  # a model this small only loses by more
    # Libraries may print: the answers have the true standard output for themselves.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        study.do(Job(**json.loads(line)))
        answers.write(_DONE + "\n")
        answers.flush()
    return 0


class Runner:
    """Runs jobs in processes of their own, some at once, until the hours are over."""

    def __init__(self, study: Study, words: Sequence[str], until: float, processes: int) -> None:
        """Start no job after `until`."""
        self._study = study
        self._words = list(words)
        self._until = until
        self._processes = processes
        self._began = time.monotonic()

    def all(self) -> bool:
        """Do everything that is not done; returns whether all is."""
        sizes = self._study.sizes
        if not (self._study.folder / CHOICE).exists():
            # Arms that start from another one need its rate first.
            for dependent in (False, True):
                jobs = [job for job in tuning_jobs(sizes) if self._waits(job) is dependent]
                first = [] if dependent else [Job(TUNING_START)]
                if not self._do(first) or not self._do(jobs):
                    return False
                self._choose(last=dependent)
        jobs = list(compared_jobs(sizes))
        bases = [job for job in jobs if job.arm == BASE]
        rest = [job for job in jobs if job.arm != BASE and not self._waits(job)]
        last = [job for job in jobs if self._waits(job)]
        return self._do(bases) and self._do(rest) and self._do(last)

    def _waits(self, job: Job) -> bool:
        """Whether a job starts from another job's weights."""
        return any(arm.name == job.arm and arm.start for arm in arms_of(self._study.sizes))

    def _choose(self, *, last: bool) -> None:
        """Write down every arm's best rate on validation names; the file comes last and whole."""
        from recode_eval.files import replace_file

        found = {}
        for arm in arms_of(self._study.sizes):
            tried = {}
            for rate in self._study.sizes.rates:
                job = Job(TUNING_START, arm.name, 0, rate)
                if self._study.done(job):
                    content = self._study.result(job)
                    tried[rate] = content.get("validation", {}).get("mean")
            known = {rate: value for rate, value in tried.items() if value is not None}
            if tried:
                # Where every try ended early, the middle one stands, and the table shows it.
                middle = sorted(tried)[len(tried) // 2]
                best = max(known, key=lambda rate: known[rate]) if known else middle
                found[arm.name] = {"chosen": best, "tried": {f"{r:g}": v for r, v in tried.items()}}
        name = CHOICE if last else f"{CHOICE}.part"
        replace_file(self._study.folder / name, json.dumps(found, indent=1) + "\n")

    def _do(self, jobs: Sequence[Job]) -> bool:
        """Do the jobs, several at once; returns whether all are done."""
        waiting = [job for job in jobs if not self._study.done(job)]
        left = iter(waiting)
        lock = threading.Lock()

        def work(number: int) -> None:
            worker = None
            try:
                while time.monotonic() < self._until:
                    with lock:
                        job = next(left, None)
                    if job is None:
                        return
                    worker = worker or self._launch(number)
                    self._ask(worker, job, number)
            finally:
                if worker is not None:
                    worker.stdin.close()  # type: ignore[union-attr]  # it has a pipe
                    worker.wait()

        with ThreadPoolExecutor(self._processes) as pool:
            for found in [pool.submit(work, number) for number in range(self._processes)]:
                found.result()
        return all(self._study.done(job) for job in waiting)

    def _ask(self, worker: subprocess.Popen[str], job: Job, number: int) -> None:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(dataclasses.asdict(job)) + "\n")
        worker.stdin.flush()
        if worker.stdout.readline().strip() != _DONE or not self._study.done(job):
            raise SystemExit(f"{job.name} failed: see {self._log(number)}")
        self.say(f"{job.name}: {self._study.result(job)['cpu_seconds']:.0f} CPU s")

    def _launch(self, number: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "benchmarks.study.cpu", *self._words, "--worker"]
        with self._log(number).open("ab") as file:
            return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=file, text=True, cwd=Path(__file__).parents[2],
                                    env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip

    def _log(self, number: int) -> Path:
        return self._study.folder / f"worker{number}.txt"

    def say(self, text: str) -> None:
        """Print a line with the time that is gone and left."""
        gone, left = time.monotonic() - self._began, max(0.0, self._until - time.monotonic())
        print(f"[{gone / 60:.0f} min, {left / 60:.0f} left] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
