"""Runs of recode_eval on training pairs, with answers that a test writes and no real sandbox."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fake_sandbox import FakeSandbox
from training_pairs import NEW, OLD, turn

from recode_eval.models.base import Completion, FinishReason, ModelInfo, SamplingParameters
from recode_eval.run.config import RunConfig
from recode_eval.run.progress import SilentMonitor
from recode_eval.run.session import evaluate_task
from recode_eval.sandbox.base import Execution, Limits, Program, Status, TestVerdict
from recode_eval.tasks.base import TaskData
from recode_eval.tasks.loading import LoadedTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

    from recode_eval.models.base import Request
    from recode_train.data import PairSet


class KnownSandbox(FakeSandbox):
    """Knows without running them that only programs with the new call pass."""

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        del limits
        status = Status.PASSED if "str.upper" in program.candidate else Status.FAILED
        future: Future[Execution] = Future()
        future.set_result(Execution(tuple(TestVerdict(t.name, status) for t in program.tests)))
        return future


GOOD, BAD = turn(NEW), turn(OLD)
"""Continue the prefill of the prompt `recode`."""


class ToldModel:
    """Answers sample `i` of pair `p` with `says(p, i)`: a text, or a text and why it ended."""

    def __init__(self, says: Callable[[str, int], Any], name: str = "told") -> None:
        self.info = ModelInfo(name, "test", {"weights": name})
        self.asked: list[tuple[str, int]] = []
        self._says = says

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        del parameters
        for request in requests:
            for sample in request.samples:
                self.asked.append((request.problem_id, sample))
                said = self._says(request.problem_id, sample)
                text, reason = (said, FinishReason.STOP) if isinstance(said, str) else said
                yield Completion(
                    request.problem_id, sample, text, reason, completion_tokens=len(text)
                )

    def close(self) -> None:
        """Nothing to free."""


def without_sandbox(patch: pytest.MonkeyPatch) -> None:
    """Let every sandbox be one that knows the verdicts."""
    patch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: KnownSandbox())


def store(
    out: Path, pairs: PairSet, says: Callable[[str, int], Any], *, n: int = 4,
    prompt: str = "recode",
) -> Path:  # fmt: skip
    """Evaluate the pairs; returns the run's folder."""
    rows = TaskData(tuple(p.problem for p in pairs.pairs), pairs.source, pairs.content_hash)
    task = pairs.task_object
    model = ToldModel(says)
    config = RunConfig(
        model=model, tasks=[task.spec.name], prompt=prompt, n=n, temperature=1.0, k=[1], out=out
    )
    # Tasks whose answers are not executed have no sandbox.
    sandboxes: Any = SimpleNamespace(opener=lambda *_: KnownSandbox)
    loaded = LoadedTask(task, rows)
    return Path(evaluate_task(config, loaded, model, sandboxes, SilentMonitor())["folder"])
