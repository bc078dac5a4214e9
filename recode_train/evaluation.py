"""Evaluate the model in memory during the training, with recode_eval.

Each evaluation is an ordinary run of recode_eval in the training's folder `evaluations/`, so its
results can be compared, scored again, and put on the leaderboard.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError
from recode_eval.metrics import WHILE_TRAINING
from recode_train.checkpoints import EVALUATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.models.base import Model
    from recode_eval.run.config import RunConfig
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.tasks.loading import LoadedTask
    from recode_train.config import TrainConfig


class TrainingEvaluation:
    """The tasks and sandboxes of a training's evaluations, ready before the first step."""

    def __init__(
        self,
        config: TrainConfig,
        tokenizer: Any,
        identity: Mapping[str, Any],
        sandboxes: Sandboxes,
        prompt: str,
    ) -> None:
        """Load the tasks and open their sandboxes, so that neither can fail after hours.

        `identity` names what is trained, on what; `prompt` is the prompt it is trained on.

        Raises:
            UsageError: there is no such task.
            DataError: a task's data is malformed.
            InfrastructureError: there is no sandbox, or no problem can run here.
        """
        from recode_eval.tasks.loading import load_tasks

        self._config = config
        self._tokenizer = tokenizer
        self._identity = _short_hash(identity)
        self._sandboxes = sandboxes
        self._prompt = prompt
        self._tasks = load_tasks(config.eval_tasks, {})
        for task, _ in self._tasks:
            sandboxes.opener(task, "program")()

    def run(self, model: Any, step: int) -> dict[str, Any]:
        """Evaluate, and return the main figures, the prompt and the run's folder for each task.

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
            return {loaded.name: self._one(loaded, wrapped) for loaded in self._tasks}
        finally:
            wrapped.close()
            model.train(training)

    def _one(self, loaded: LoadedTask, model: Model) -> dict[str, Any]:
        from recode_eval.run.progress import SilentMonitor
        from recode_eval.run.session import evaluate_task

        config = self._run_config(loaded, model)
        results = evaluate_task(config, loaded, model, self._sandboxes, SilentMonitor())
        return {**_figures(results), "prompt": config.prompt, "folder": results["folder"]}

    def _run_config(self, loaded: LoadedTask, model: Model) -> RunConfig:
        from recode_eval.run.config import RunConfig
        from recode_train.prompts import evaluation_prompt
        from recode_train.trainers.training_data import sandbox_options

        config, spec = self._config, loaded.task.spec
        prompt = evaluation_prompt(spec, self._prompt)
        # A model in training may have a shorter context than the task's answers would fill.
        longest = min(spec.prompts[prompt].defaults.max_tokens, config.max_completion_length)
        return RunConfig(
            model=model,
            tasks=[loaded.name],
            prompt=prompt,
            n=config.eval_n if config.eval_temperature else 1,
            temperature=config.eval_temperature,
            max_tokens=longest,
            limit=config.eval_limit,
            seed=config.seed,
            k=[1],
            sandbox=sandbox_options(config),
            out=Path(config.output) / EVALUATIONS,
        )


def check(config: TrainConfig) -> None:
    """Raise `UsageError` for what cannot be evaluated while it is trained."""
    from recode_eval.plugins import unknown
    from recode_eval.tasks.registry import find_tasks

    known = find_tasks()
    for name in config.eval_tasks:
        if name not in known:
            raise UsageError(unknown("task in eval_tasks", name, known))


def check_whole(accelerator: Any) -> None:
    """Raise `UsageError` if no process has the whole model."""
    kind = str(accelerator.distributed_type).rsplit(".", maxsplit=1)[-1]
    if kind in {"FSDP", "DEEPSPEED"}:
        raise UsageError(
            f"eval_tasks: with {kind}, no process has the whole model; leave out eval_steps and "
            "evaluate the checkpoints with recode-eval."
        )


def _plain(model: Any) -> Any:
    """Return the transformers model inside of an adapter; the adapter stays active."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _run_name(config: TrainConfig) -> str:
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
