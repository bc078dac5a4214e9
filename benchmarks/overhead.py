"""What the harness itself costs: the time of a run less pure generation and pure execution.

A model that answers at a fixed pace (so that generation is known exactly) is evaluated on the
bundled task, every answer different, so that nothing is executed once for two. Then the same
programs run in the same sandbox alone. The three are measured in turn, several times, and their
medians printed, with two shares of the run's time: what remains when generation and execution are
taken off as if they came one after the other (negative: they overlap), and what remains above the
longer of the two, which an ideal overlap would need. The CPU time that the harness's own process
spends per sample says the same where the machine is busy with other things.

Run it with `python benchmarks/overhead.py [--sandbox TIER] [--n 5] [--pace 100] [--repeats 3]`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.models import create_model
from recode_eval.models.base import Completion, ModelInfo, SamplingParameters
from recode_eval.run.evaluation import Run
from recode_eval.run.progress import SilentMonitor
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.results import compute_results
from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
from recode_eval.run.store import RESULTS, write_json
from recode_eval.sandbox import open_sandbox
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.models.base import Request
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Task, TaskData


class PacedModel:
    """The reference, made different for each sample, at `pace` samples per second."""

    info = ModelInfo("paced", "benchmark")

    def __init__(self, answers: dict[str, dict[str, str]], pace: float) -> None:
        self._model = create_model("baseline:reference", answers=answers)
        self._pause = 1 / pace

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield in bursts of 16, as engines do."""
        due = time.perf_counter()
        for number, completion in enumerate(self._model.generate(requests, parameters), 1):
            if number % 16 == 0:
                due += 16 * self._pause
                time.sleep(max(0.0, due - time.perf_counter()))
            text = completion.text.replace("```python\n", f"```python\n# {number}\n", 1)
            yield Completion(
                completion.problem_id, completion.sample, text, completion.finish_reason
            )

    def close(self) -> None:
        """Nothing to free."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--n", type=int, default=5)
    parser.add_argument("--pace", type=float, default=100.0, help="samples per second")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    task = create_task("arena-mini")
    data = task.load(None, skip_bad_rows=False)
    model = PacedModel({p.id: dict(p.solutions) for p in data.problems}, arguments.pace)
    generation, execution, whole, own_cpu = [], [], [], []
    with open_sandbox(arguments.sandbox, environment=task.spec.environment) as sandbox:
        _execute(sandbox, task, data, 1, tag="warm up")
        for repeat in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                run = _run(task, data, Path(folder), arguments.n)
                generation.append(_generate(model, run))
                execution.append(_execute(sandbox, task, data, arguments.n, tag=f"alone {repeat}"))
                began, cpu = time.perf_counter(), time.process_time()
                results = compute_results(run.execute(model, lambda: sandbox))
                write_json(run.folder / RESULTS, results)
                whole.append(time.perf_counter() - began)
                own_cpu.append(time.process_time() - cpu)
            if results["metrics"]["pass@1"]["value"] != 1:
                raise SystemExit("the references did not all pass: the measurement is void")
        info = sandbox.info
    samples = results["counts"]["scored"]
    g, e, w = (statistics.median(times) for times in (generation, execution, whole))
    print(f"{samples} samples, sandbox {info.tier}, {info.workers} workers, {len(whole)} repeats")
    print(f"pure generation {g:7.2f} s")
    print(f"pure execution  {e:7.2f} s")
    print(f"whole run       {w:7.2f} s")
    print(f"overhead, run - generation - execution:     {(w - g - e) / w:7.1%} of the run")
    print(f"overhead, run - max(generation, execution): {(w - max(g, e)) / w:7.1%} of the run")
    print(f"CPU of the harness: {1e3 * statistics.median(own_cpu) / samples:.2f} ms per sample")


def _run(task: Task, data: TaskData, folder: Path, n: int) -> Run:
    variant = task.spec.prompts[task.spec.default_prompt]
    return Run(
        task,
        data,
        PacedModel.info,
        PromptSettings(variant.name, PromptTemplate.from_file(variant.path), str(variant.path)),
        SamplingParameters(),
        Selection(n),
        ScoringSettings(),
        out=folder,
        monitor=SilentMonitor(),
    )


def _generate(model: PacedModel, run: Run) -> float:
    requests = run.generation.requests(run.keys)
    began = time.perf_counter()
    for completion in model.generate(requests, SamplingParameters()):
        del completion
    return time.perf_counter() - began


def _execute(sandbox: Sandbox, task: Task, data: TaskData, n: int, tag: str) -> float:
    limits = ScoringSettings().limits
    programs = [
        program
        for problem in data.problems
        for sample in range(n)
        for program in task.programs(
            problem, f"# {tag} {sample}\n{problem.solutions['reference']}"
        ).values()
    ]
    began = time.perf_counter()
    for future in [sandbox.submit(program, limits) for program in programs]:
        future.result()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
