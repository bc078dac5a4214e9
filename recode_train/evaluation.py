"""Evaluation during the training, with recode_eval, of the model as it is in memory.

Each evaluation is a run of recode_eval like any other, in `evaluations/` of the training's folder,
so that its results can be compared, scored again, and put on the leaderboard.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.metrics import WHILE_TRAINING
from recode_train.checkpoints import EVALUATIONS
from recode_train.trainers.training_data import sandbox_opener

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recode_eval.models.base import Model
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Task, TaskData
    from recode_train.config import TrainConfig


class Evaluation:
    """Tasks and sandboxes, ready before the first step."""

    def __init__(
        self,
        config: TrainConfig,
        tokenizer: Any,
        identity: Mapping[str, Any],
        closing: contextlib.ExitStack,
    ) -> None:
        """Load the tasks and open their sandboxes; `identity` names what is trained, on what.

        Raises:
            UsageError: there is no such task, or the weights are spread over the processes.
            DataError: a task's data is malformed.
            InfrastructureError: there is no sandbox, or no problem can run here.
        """
        self._config = config
        self._tokenizer = tokenizer
        self._identity = _short_hash(identity)
        self._tasks = [self._load(name, closing) for name in config.eval_tasks]

    def run(self, model: Any, step: int) -> dict[str, Any]:
        """Evaluate, and return the main figures and the results' folder of each task.

        The model is left as it was: its mode, its generation settings, the random state.
        """
        from recode_eval.models.transformers_model import TransformersModel

        training = model.training
        model.eval()
        wrapped = TransformersModel.around(
            _plain(model),
            self._tokenizer,
            name=f"{_run_name(self._config)}/step-{step}",
            identity={"training": self._identity, "step": step},
        )
        try:
            return {
                task.spec.name: self._one(task, data, opener, wrapped)
                for task, data, opener in self._tasks
            }
        finally:
            wrapped.close()
            model.train(training)

    def _load(
        self, name: str, closing: contextlib.ExitStack
    ) -> tuple[Task, TaskData, Callable[[], Sandbox]]:
        from recode_eval.sandbox.null import NullSandbox
        from recode_eval.tasks.base import Preparing
        from recode_eval.tasks.registry import create_task

        task = create_task(name)
        data = task.load(None, skip_bad_rows=False)
        if isinstance(task, Preparing):
            data = task.prepare(data, lambda _: None)
            if not data.problems:
                raise InfrastructureError(f"No problem of {name} can run here: {data.skipped[0]}")
        if not task.conditions:
            return task, data, NullSandbox
        opener = sandbox_opener(self._config, task.spec.environment, closing)
        opener()
        return task, data, opener

    def _one(
        self, task: Task, data: TaskData, opener: Callable[[], Sandbox], model: Model
    ) -> dict[str, Any]:
        from recode_eval.models.base import SamplingParameters
        from recode_eval.run.calibration import Calibration
        from recode_eval.run.evaluation import Run
        from recode_eval.run.progress import SilentMonitor
        from recode_eval.run.prompts import PromptTemplate
        from recode_eval.run.results import compute_results
        from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
        from recode_eval.run.store import RESULTS, write_json

        config = self._config
        variant = task.spec.prompts[task.spec.default_prompt]
        prompt = PromptSettings(
            variant.name,
            PromptTemplate.from_file(variant.path),
            f"{task.spec.name}/{variant.path.name}",
        )
        sampling = SamplingParameters(
            temperature=config.eval_temperature,
            top_p=variant.defaults.top_p,
            max_tokens=variant.defaults.max_tokens,
            stop=variant.defaults.stop,
            seed=config.seed,
        )
        # A model in training may have a shorter context than the task's answers would fill.
        sampling = replace(
            sampling, max_tokens=min(sampling.max_tokens, config.max_completion_length)
        )
        run = Run(
            task,
            data,
            model.info,
            prompt,
            sampling,
            Selection(config.eval_n if config.eval_temperature else 1, config.eval_limit),
            ScoringSettings(calibration=Calibration()),
            out=_folder(config),
            monitor=SilentMonitor(),
            settings={"tasks": [task.spec.name], "data": None, "include_path": [], "k": [1]},
        )
        results = compute_results(run.execute(model, opener), [1])
        write_json(run.folder / RESULTS, results)
        return {**_figures(results), "folder": str(run.folder)}


def check(config: TrainConfig) -> None:
    """Raise `UsageError` for what cannot be evaluated while it is trained."""
    from recode_eval.tasks.registry import find_tasks
    from recode_train.config import unknown

    known = find_tasks()
    for name in config.eval_tasks:
        if name not in known:
            raise unknown("task in eval_tasks", name, known)


def check_whole(accelerator: Any) -> None:
    """Raise `UsageError` if no process has the whole model."""
    kind = str(accelerator.distributed_type).rsplit(".", maxsplit=1)[-1]
    if kind in {"FSDP", "DEEPSPEED"}:
        raise UsageError(
            f"eval_tasks: with {kind} no process has the whole model; leave eval_steps out and "
            "evaluate the checkpoints with recode-eval."
        )


def _plain(model: Any) -> Any:
    """Return the transformers model inside of an adapter; the adapter stays active."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _folder(config: TrainConfig) -> Path:
    from pathlib import Path

    return Path(config.output) / EVALUATIONS


def _run_name(config: TrainConfig) -> str:
    from pathlib import Path

    return Path(config.output).resolve().name


def _short_hash(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _figures(results: Mapping[str, Any]) -> dict[str, Any]:
    metrics = results["metrics"]
    return {
        name: metrics[name]["value"] if isinstance(metrics[name], dict) else None
        for name in WHILE_TRAINING
        if name in metrics
    }
