"""How the memory of the process that drives a run grows with the number of samples.

A model that answers at once, every answer different and of the length of a real one, and a sandbox
that passes everything: what is left is the driver. Each size runs in a process of its own; printed
is its largest resident memory, and what a further sample costs.

Run it with `python benchmarks/memory.py [--samples 20000 200000]`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.models.base import Completion, FinishReason, ModelInfo, SamplingParameters
from recode_eval.run.evaluation import Run
from recode_eval.run.progress import SilentMonitor
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.results import compute_results
from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
from recode_eval.sandbox.base import Execution, SandboxInfo, Status, TestVerdict
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.models.base import Request
    from recode_eval.sandbox.base import Limits, Program


class Fast:
    """A model and a sandbox in one, without a cost of its own."""

    info = ModelInfo("fast", "test", {})

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Answer at once."""
        del parameters
        for request in requests:
            for sample in request.samples:
                code = f"def f_{sample}(x):\n    return x + {sample}\n\n\n" * 25
                text = f"```python\n# {request.problem_id}\n{code}```"
                yield Completion(request.problem_id, sample, text, FinishReason.STOP)

    def close(self) -> None:
        """Nothing to free."""


class Yes:
    """A sandbox in which everything passes."""

    info = SandboxInfo("none", (), "program", 1, "3")

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        """Pass every test."""
        del limits
        future: Future[Execution] = Future()
        verdicts = tuple(TestVerdict(test.name, Status.PASSED, "", 0.01) for test in program.tests)
        future.set_result(Execution(verdicts, output="printed\n" * 20))
        return future


def one(samples: int) -> None:
    """Run so many samples and print the largest resident memory in MiB and the seconds."""
    task = create_task("arena-mini")
    data = task.load(None, skip_bad_rows=False)
    prompt = next(iter(task.spec.prompts.values()))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            task, data, Fast.info,
            PromptSettings(prompt.name, PromptTemplate.from_file(prompt.path), "benchmark"),
            SamplingParameters(), Selection(-(-samples // len(data.problems))), ScoringSettings(),
            out=Path(folder), monitor=SilentMonitor(),
        )  # fmt: skip
        results = compute_results(run.execute(Fast(), Yes))
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(results["counts"]["scored"], peak, time.perf_counter() - started)


def main() -> None:
    """Measure each size and print the growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one)
        return
    before: tuple[int, float] | None = None
    for samples in arguments.samples:
        command = [sys.executable, __file__, "--one", str(samples)]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        done, peak, seconds = int(words[0]), float(words[1]), float(words[2])
        growth = ""
        if before is not None:
            growth = f", {1024 * (peak - before[1]) / (done - before[0]):.2f} KiB a further sample"
        print(f"{done:8} samples: {peak:6.0f} MiB, {seconds:.0f} s{growth}", flush=True)
        before = done, peak


if __name__ == "__main__":
    main()
