"""Run a comparison from its settings to its results; the same call continues it after a kill.

The folder: `plan.json` (what was asked), `arms/ARM-seedN` (trainings), `runs/greedy/NAME` and
`runs/sampled/NAME` (evaluations, ordinary runs of recode-eval), `models.yaml` (for the
leaderboard), `comparison.json` and `comparison.md`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, InfrastructureError, UsageError
from recode_eval.run.results_file import ResultsFile, read_run
from recode_eval.run.store import RESULTS
from recode_train.comparing.arms import BASE
from recode_train.comparing.budgets import spent
from recode_train.comparing.configs import (
    PAIRS,
    Prepared,
    arm_configs,
    as_now,
    changed,
    identity,
    prepare,
    revision,
    start_model,
    training_folder,
)
from recode_train.locks import only_writer
from recode_train.progress import TrainEvent, resolve_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.run.config import RunConfig
    from recode_train.comparing.arms import ArmSettings
    from recode_train.comparing.settings import CompareConfig
    from recode_train.progress import Progress, ProgressCallback
    from recode_train.trainers import TrainResult

PLAN: Final = "plan.json"

Runs = dict[str, dict[str, list[Path]]]
"""How it was sampled -> arm -> folder of the evaluations of each seed."""


def compare_methods(config: CompareConfig, *, progress: Progress = None) -> dict[str, Any]:
    """Train a model in several ways, evaluate all alike, and compare; does what is not done yet.

    Returns the content of `comparison.json` (docs/training.md). `progress` is a callback for
    `TrainEvent`s, or True for lines on standard error. By default nothing is printed. After an
    interruption (Ctrl-C, a kill) the same call continues there.

    Raises:
        UsageError: settings do not fit together, or differ from those that the folder began with
            (the message names them), or another process writes there.
        DataError: training pairs or a task's data are malformed.
        InfrastructureError: training or evaluation cannot be done here.

    >>> from recode_train import CompareConfig, EvaluationSettings, compare_methods
    >>> config = CompareConfig(
    ...     model=model, arms=["sft"], seeds=[1], data=f"recode-train-data={pairs}", out=folder,
    ...     overrides=["max_steps=1", "tuning=full", "per_device_train_batch_size=1"],
    ...     evaluated=EvaluationSettings(
    ...         tasks=[f"recode-train-data={pairs}"], samples=0, max_tokens=8
    ...     ),
    ... )
    >>> content = compare_methods(config)
    >>> content["arms"], content["prompts"]
    (['base', 'sft'], {'recode-train-data': 'recode'})
    """
    tell = resolve_progress(progress)
    prepared = prepare(config)
    prompts = evaluation_prompts(config, prepared.prompt)
    evaluations = _Evaluations(config, prompts, tell)
    evaluations.check()
    asked = identity(config, prepared, prompts)
    with only_writer(config.folder):
        return _compare(config, prepared, asked, evaluations, tell)


def _compare(
    config: CompareConfig,
    prepared: Prepared,
    asked: Mapping[str, Any],
    evaluations: _Evaluations,
    tell: ProgressCallback,
) -> dict[str, Any]:
    """Do what is not done yet, in a folder that nobody else writes to."""
    from recode_eval.run.store import write_json, write_text
    from recode_train.comparing.report import make, markdown

    _begin(config, prepared, asked)
    _log(tell, f"matched by {prepared.matched.text}")
    budgets: dict[str, list[Mapping[str, Any]]] = {}
    evaluations.evaluate(BASE, BASE, config.model)
    for seed in config.seeds:
        for arm in config.ways:
            result = _train(config, prepared, arm, seed, tell)
            budgets.setdefault(arm.name, []).append(spent(result))
            evaluations.evaluate(arm.name, f"{arm.name}-seed{seed}", str(result.final))
    _write_models(config, evaluations.folders)
    evaluated = {
        how: {arm: [run for folder in folders for run in stored_runs(folder)]
              for arm, folders in arms.items()}
        for how, arms in evaluations.folders.items()
    }  # fmt: skip
    content = make(config, prepared, evaluated, budgets, evaluations.prompts)
    write_json(config.folder / "comparison.json", content)
    write_text(config.folder / "comparison.md", markdown(content))
    return content


def _train(
    config: CompareConfig, prepared: Prepared, arm: ArmSettings, seed: int, tell: ProgressCallback
) -> TrainResult:
    """Train one arm, whose start is there; merge its weights if another arm starts from them."""
    from recode_train.merging import merge
    from recode_train.trainers import train

    file = config.folder / PAIRS if prepared.restricted else None
    settings = arm_configs(config, seed, prepared.matched, file)[arm.name]
    begin = "" if arm.start == BASE else f", from {arm.start}"
    _log(tell, f"training: {arm.name}, seed {seed}, {settings.max_steps} steps{begin}")
    model = start_model(config, arm, seed)
    result = train(dataclasses.replace(settings, model=model), progress=tell)
    merged = training_folder(config, arm.name, seed) / "merged"
    wanted = any(other.start == arm.name for other in config.ways)
    if wanted and (result.final / "adapter_config.json").exists() and not merged.exists():
        merge(str(result.final), merged)
    return result


def evaluation_prompts(config: CompareConfig, trained: str) -> dict[str, str]:
    """Return the prompt variant of each task: the one trained on, where the task has it."""
    from recode_eval.tasks.registry import create_task
    from recode_train.prompts import evaluation_prompt

    paths = tuple(map(Path, config.evaluated.include_paths))
    return {name: evaluation_prompt(create_task(name, paths).spec, trained)
            for name in config.tasks}  # fmt: skip


def _begin(config: CompareConfig, prepared: Prepared, identified: Mapping[str, Any]) -> None:
    """Write down the settings; refuse to mix them with others."""
    from recode_eval.run.store import read_json, write_json, write_text
    from recode_train.prompts import THINK_ANSWER

    asked = json.loads(json.dumps(identified))
    file = config.folder / PLAN
    if file.exists():
        before = as_now(read_json(file))
        # Comparisons of earlier versions evaluated on `recode`, then every task's default.
        usual = evaluation_prompts(config, THINK_ANSWER)
        before.setdefault("evaluated", {}).setdefault("prompts", usual)
        if names := changed(before, asked):
            raise UsageError(
                f"{config.out} holds a comparison with other settings: {', '.join(names)} differ. "
                "Repeat the original command, or choose another --out."
            )
        return
    config.folder.mkdir(parents=True, exist_ok=True)
    if prepared.restricted:
        write_text(config.folder / PAIRS, json.dumps(prepared.matched.pairs, indent=1) + "\n")
    write_json(file, asked)


def _log(tell: ProgressCallback, message: str) -> None:
    tell(TrainEvent("log", message=message))


def _sampling(config: CompareConfig) -> dict[str, dict[str, Any]]:
    """Return the options of each way to sample."""
    evaluated = config.evaluated
    ways: dict[str, dict[str, Any]] = {"greedy": {"n": 1, "temperature": 0.0, "k": [1]}}
    if n := evaluated.samples:
        ways["sampled"] = {
            "n": n,
            "temperature": evaluated.temperature,
            "top_p": evaluated.top_p,
            "k": sorted({1, min(5, n), n}),
        }
    return ways


class _Evaluations:
    """Evaluates models one after the other, and keeps where their runs lie."""

    def __init__(
        self, config: CompareConfig, prompts: Mapping[str, str], tell: ProgressCallback
    ) -> None:
        self.config = config
        self.prompts = prompts
        self.tell = tell
        self.folders: Runs = {how: {} for how in _sampling(config)}

    def check(self) -> None:
        """Raise `UsageError` for options that no evaluation takes, before hours of training."""
        for task in self.config.evaluated.tasks:
            for sampling in _sampling(self.config).values():
                self._run_config(task, self.config.model, self.config.folder, sampling)

    def evaluate(self, arm: str, name: str, model: str) -> None:
        """Evaluate a model on every task in every way, unless that was done."""
        for how, sampling in _sampling(self.config).items():
            folder = self.config.folder / "runs" / how / name
            self.folders[how].setdefault(arm, []).append(folder)
            for task in self.config.evaluated.tasks:
                _log(self.tell, f"evaluating: {name}, {how}, {task.partition('=')[0]}")
                if not _is_done(folder, task.partition("=")[0]):
                    _evaluate_on(self._run_config(task, model, folder, sampling))

    def _run_config(
        self, task: str, model: str, out: Path, sampling: Mapping[str, Any]
    ) -> RunConfig:
        from recode_eval.models.options import ModelOptions
        from recode_eval.run.config import RunConfig, SandboxOptions

        evaluated = self.config.evaluated
        name, _, rows = task.partition("=")
        wanted = revision(self.config) if model == self.config.model else None
        return RunConfig(
            model=model,
            tasks=[name],
            model_options=ModelOptions(revision=wanted),
            data={name: rows} if rows else {},
            include_path=evaluated.include_paths,
            prompt=self.prompts[name],
            max_tokens=evaluated.max_tokens,
            limit=evaluated.limit,
            sandbox=SandboxOptions(tier=evaluated.sandbox),
            out=out,
            **sampling,
        )


def _evaluate_on(config: RunConfig) -> None:
    """Evaluate; raises an error unless every sample is graded."""
    from recode_eval import evaluate

    [result] = evaluate(config)
    if result.unscored:
        raise InfrastructureError(
            f"{result.unscored} sample(s) of {config.model} on {result.task} could not be graded "
            f"({result.folder}). The same command tries them again and continues."
        )
    if not result.content["counts"]["scored"]:
        raise DataError(
            f"No sample of {config.model} on {result.task} has a score ({result.folder}): every "
            "problem of the task is faulty."
        )


def stored_runs(folder: Path) -> list[ResultsFile]:
    """Return the runs of one model; raises `DataError` for results that are damaged."""
    return [read_run(file) for file in sorted(folder.glob(f"*/*/{RESULTS}"))]


def _is_done(out: Path, task: str) -> bool:
    """Tell whether the folder has a complete result of the task."""
    return any(run.task == task and not run.results.counts.unscored for run in stored_runs(out))


def _write_models(config: CompareConfig, runs: Runs) -> None:
    """Write down the base and the method of every model, for the leaderboard."""
    import yaml

    names: dict[str, dict[str, str]] = {}
    labels = {arm.name: arm.label for arm in config.ways}
    base = stored_runs(runs["greedy"][BASE][0])[0].model
    for arm, folders in runs["greedy"].items():
        for folder in folders:
            name = stored_runs(folder)[0].model
            entry = {
                "match": _literal(name),
                "base": base,
                "method": "untrained" if arm == BASE else labels[arm],
            }
            if arm != BASE:
                entry["training"] = f"arms/{folder.name}"
            names[name] = entry
    text = yaml.safe_dump({"models": list(names.values())}, sort_keys=False)
    (config.folder / "models.yaml").write_text(text, encoding="utf-8")


def _literal(name: str) -> str:
    """Return a pattern that matches the name alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
