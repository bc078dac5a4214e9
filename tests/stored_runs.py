"""Small stored runs of known outcome, made by the library: a model that answers as it is told."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from arena_rows import REFERENCE, STALE, write_rows
from fake_sandbox import FakeSandbox

from recode_eval.models.base import Completion, FinishReason, ModelInfo, SamplingParameters
from recode_eval.run.evaluation import Run
from recode_eval.run.progress import SilentMonitor
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.results import compute_results
from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
from recode_eval.run.store import RESULTS, write_json
from recode_eval.sandbox.base import Execution, Limits, Program, Status, TestVerdict
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recode_eval.models.base import Request


class KnownSandbox(FakeSandbox):
    """Knows without running them that only programs with the new argument pass."""

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        del limits
        status = Status.PASSED if "times=2" in program.candidate else Status.FAILED
        future: Future[Execution] = Future()
        future.set_result(Execution(tuple(TestVerdict(t.name, status) for t in program.tests)))
        return future


class ToldModel:
    """Sample `i` of problem `p` is right where `right(p, i)` says so; None: there is no answer."""

    def __init__(self, name: str, right: Callable[[int, int], bool | None]) -> None:
        self.info = ModelInfo(name, "test", {"weights": name})
        self.right = right

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        del parameters
        for request in requests:
            problem = int(request.problem_id.rpartition("-")[2].rstrip("]"))
            for sample in request.samples:
                right = self.right(problem, sample)
                code = REFERENCE if right else STALE
                text = f"</think>\n<answer>\n```python\n{code}```\n</answer>"
                reason = FinishReason.MISSING if right is None else FinishReason.STOP
                yield Completion(request.problem_id, sample, text, reason)

    def close(self) -> None:
        pass


def store_run(
    out: Path,
    name: str,
    right: Callable[[int, int], bool | None],
    *,
    problems: int = 40,
    n: int = 10,
    temperature: float = 0.8,
    template: str = "{{ problem }} {{ docstring }}",
    change_rows: Callable[[str], str] = str,
    cpu_s: float | None = None,
    seed: int = 0,
) -> Path:
    """Evaluate and return the run's folder; two problems share a cluster."""
    out.mkdir(parents=True, exist_ok=True)
    rows = write_rows(out / f"{name}.jsonl", problems)
    rows.write_text(change_rows(rows.read_text()))
    task = create_task("arena")
    model = ToldModel(name, right)
    limits = Limits() if cpu_s is None else replace(Limits(), cpu_s=cpu_s)
    run = Run(
        task,
        task.load(str(rows), skip_bad_rows=False),
        model.info,
        PromptSettings("test", PromptTemplate(template, "test"), "test"),
        SamplingParameters(temperature=temperature, seed=seed),
        Selection(n),
        ScoringSettings(limits),
        out=out,
        monitor=SilentMonitor(),
    )
    outcome = run.execute(model, KnownSandbox)
    write_json(run.folder / RESULTS, compute_results(outcome, [1, 5]))
    return run.folder


def edit_results(folder: Path, change: Callable[[dict], None]) -> Path:
    """Change what a run's results.json says."""
    results = json.loads((folder / RESULTS).read_text())
    change(results)
    write_json(folder / RESULTS, results)
    return folder
