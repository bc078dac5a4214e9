"""Let the model answer the pairs before it is trained, with recode_eval, and grade the answers.

An ordinary run of recode_eval in the training's folder: every answer is stored as it comes, so a
killed sampling goes on, and a finished one is only read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, InfrastructureError
from recode_eval.run.store import read_json, write_json
from recode_eval.terminal import plural
from recode_train.budget import Budget
from recode_train.checkpoints import DONE_SAMPLES, SAMPLES
from recode_train.trainers.answers import pairs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.models.base import Model
    from recode_eval.run.config import RunConfig
    from recode_eval.tasks.loading import LoadedTask
    from recode_train.config import TrainConfig
    from recode_train.trainers.loading import ModelSource
    from recode_train.trainers.training_data import TrainingData

_LOOK_EVERY_S: Final = 1.0


def sample(
    config: TrainConfig, source: ModelSource, data: TrainingData, tell: Callable[[str], None]
) -> tuple[Path, Budget]:
    """Return the run with the graded answers, which the first process makes, and its time.

    Raises:
        DataError: the problems are faulty, or a file is damaged.
        InfrastructureError: no sandbox, or answers that could not be graded.
    """
    from accelerate import PartialState

    folder = Path(config.output) / SAMPLES
    asked = _asked(config, source, data)
    if PartialState().is_main_process:
        if _done(folder, asked) is None:
            (folder / DONE_SAMPLES).unlink(missing_ok=True)
            spent = Budget()
            spent.tick()
            run = _sample(config, source, data, folder, tell)
            spent.cpu_seconds = spent.tick()
            content = {"run": str(run.relative_to(folder)), "asked": asked}
            write_json(folder / DONE_SAMPLES, {**content, "spent": spent.as_dict()})
    else:
        # No barrier: it would time out where sampling takes hours.
        while _done(folder, asked) is None:
            time.sleep(_LOOK_EVERY_S)
    found = _done(folder, asked)
    if found is None:
        raise DataError(
            f"{folder / DONE_SAMPLES} is damaged; delete it, and the same command continues."
        )
    return found


def _asked(config: TrainConfig, source: ModelSource, data: TrainingData) -> str:
    """Return a hash of whom the samples are from, and of what was asked."""
    settings = (config.num_generations, config.temperature, config.top_p, config.seed,
                config.max_completion_length, config.use_vllm, config.dtype)  # fmt: skip
    identity = [
        dict(source.checkpoint.model.identity),
        data.data_hash,
        data.provenance.get("prompt_hash"),
        [prompt.pair_id for prompt in data.prompts],
        settings,
    ]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _done(folder: Path, asked: str) -> tuple[Path, Budget] | None:
    """Return the finished run and its time; None where there is none of what is asked."""
    with contextlib.suppress(DataError):
        content = read_json(folder / DONE_SAMPLES)
        run, spent = content.get("run"), content.get("spent")
        if content.get("asked") == asked and isinstance(run, str) and isinstance(spent, dict):
            return folder / run, Budget.from_dict(spent)
    return None


def _sample(
    config: TrainConfig,
    source: ModelSource,
    data: TrainingData,
    folder: Path,
    tell: Callable[[str], None],
) -> Path:
    from recode_eval.run.session import Session

    loaded = _problems(data, tell)
    asked = run_config(config, source, data, loaded.name, folder)
    with Session(asked, _Teller(tell), [loaded]) as session:
        [result] = session.run()
    counts = result["counts"]
    if counts["unscored"]:
        raise InfrastructureError(
            f"{plural(counts['unscored'], 'answer')} could not be graded ({result['folder']}). "
            "The same command tries them again and continues."
        )
    return Path(result["folder"])


def run_config(
    config: TrainConfig, source: ModelSource, data: TrainingData, task: str, folder: Path
) -> RunConfig:
    """Return what recode_eval is asked: the training's prompts, sampling and limits."""
    from recode_eval.models.options import ModelOptions
    from recode_eval.run.config import RunConfig
    from recode_train.trainers.training_data import sandbox_options

    shared: dict[str, Any] = {
        "revision": config.model_revision,
        "trust_remote_code": config.trust_remote_code,
    }
    if config.use_vllm:
        shared |= {
            "gpu_memory_utilization": config.vllm_gpu_memory_utilization or None,
            "tensor_parallel_size": config.vllm_tensor_parallel_size,
        }
    return RunConfig(
        model=_model(source),
        backend="vllm" if config.use_vllm else "transformers",
        model_options=ModelOptions(dtype=config.dtype, **shared),
        tasks=[task],
        prompt=data.prompt,
        n=config.num_generations,
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_completion_length,
        seed=config.seed,
        k=[1],
        sandbox=sandbox_options(config),
        out=folder,
    )


def _model(source: ModelSource) -> str | Model:
    """Return the model to ask: the one that will be trained, as it is stored."""
    return source.base


def _problems(data: TrainingData, tell: Callable[[str], None]) -> LoadedTask:
    """Return the task with the problems of the prompts that can run here."""
    from recode_eval.tasks.base import Preparing, TaskData
    from recode_eval.tasks.loading import LoadedTask

    pairs = pairs_of(data)
    wanted = {prompt.pair_id for prompt in data.prompts}
    problems = tuple(pair.problem for pair in pairs.pairs if pair.id in wanted)
    rows = TaskData(problems, pairs.source, pairs.content_hash)
    task = pairs.task_object
    if isinstance(task, Preparing):
        rows = task.prepare(rows, tell)
    if rows.skipped:
        tell(f"{len(rows.skipped)} pairs cannot run here, first: {rows.skipped[0]}")
    if not rows.problems:
        raise InfrastructureError(f"No pair of {pairs.source} can run here: {rows.skipped[0]}")
    return LoadedTask(task, rows)


class _Teller:
    """A monitor that tells in sentences, and of the progress at most every quarter of a minute."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._samples = self._generated = 0
        self._told = 0.0

    def begin(self, *, samples: int, generated: int, graded: int) -> None:
        self._samples, self._generated = samples, generated
        self._tell(f"sampling: {samples} answers, {generated} stored and {graded} graded already")

    def generated(self, record: object) -> None:
        del record
        self._generated += 1
        if time.monotonic() - self._told > 15:
            self._told = time.monotonic()
            self._tell(f"sampling: {self._generated} of {self._samples} answers")

    def graded(self, record: object) -> None:
        """Nothing to say."""

    def log(self, text: str) -> None:
        self._tell(text)

    def end(self) -> None:
        """Nothing to say."""
