"""Evaluate the models of a comparison, all alike: ordinary runs of recode-eval in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError, InfrastructureError, UsageError
from recode_eval.run.results_file import ResultsFile, read_run
from recode_eval.run.store import RESULTS
from recode_eval.terminal import plural
from recode_train.comparing.configs import file_hash, revision
from recode_train.progress import TrainEvent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.run.config import RunConfig
    from recode_train.comparing.settings import CompareConfig
    from recode_train.progress import ProgressCallback

Runs = dict[str, dict[str, list[Path]]]
"""How it was sampled -> arm -> folder of the evaluations of each seed."""


def ways_to_sample(config: CompareConfig) -> dict[str, dict[str, Any]]:
    """Return the options of each way to sample; the last one is the main one."""
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


def evaluation_prompts(
    config: CompareConfig, trained: str, tasks: Sequence[str] | None = None
) -> dict[str, str]:
    """Return the prompt variant of each task: the one trained on, where the task has it.

    Without `tasks`, of those that the models are compared on.
    """
    from recode_eval.tasks.registry import create_task
    from recode_train.prompts import evaluation_prompt

    paths = tuple(map(Path, config.evaluated.include_paths))
    names = config.tasks if tasks is None else [_name(task) for task in tasks]
    return {name: evaluation_prompt(create_task(name, paths).spec, trained) for name in names}


def problems_of(config: CompareConfig, task: str) -> dict[str, str]:
    """Return the content of a task's problems, as hashes, with their ids.

    Two rows with the same programs are the same problem, whatever their ids and their tasks.
    Raises what loading the task's data raises.
    """
    from recode_eval.scoring import normalize
    from recode_eval.tasks.registry import create_task

    name, _, rows = task.partition("=")
    made = create_task(name, tuple(map(Path, config.evaluated.include_paths)))
    language = made.spec.language
    found = {}
    for problem in made.load(rows or None, skip_bad_rows=True).problems:
        programs = sorted(normalize(code, language).strip() for code in problem.solutions.values())
        found["\0".join(programs) or problem.id] = problem.id
    return found


class Evaluations:
    """Evaluates models one after the other, and keeps where their runs lie."""

    def __init__(
        self, config: CompareConfig, prompts: Mapping[str, str], tell: ProgressCallback
    ) -> None:
        """Evaluate on these prompts, by task."""
        self.config = config
        self.prompts = prompts
        self.tell = tell
        self.folders: Runs = {how: {} for how in ways_to_sample(config)}

    def check(
        self,
        tasks: Sequence[str] | None = None,
        ways: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Raise `UsageError` for options that no evaluation takes, before hours of training.

        Without `tasks` and `ways`, of all that the arms are compared on. Raises `DataError` for a
        task's file that cannot be read.
        """
        for task in self.config.evaluated.tasks if tasks is None else tasks:
            file_hash(task)
            for sampling in ways or ways_to_sample(self.config).values():
                self._run_config(task, self.config.model, self.config.folder, sampling)

    def evaluate(self, arm: str, name: str, model: str) -> None:
        """Evaluate a model on every task in every way, unless that was done."""
        for how, sampling in ways_to_sample(self.config).items():
            folder = self.config.folder / "runs" / how / name
            self.folders[how].setdefault(arm, []).append(folder)
            for task in self.config.evaluated.tasks:
                self.tell(TrainEvent("log", message=f"evaluating: {name}, {how}, {_name(task)}"))
                self.run(task, model, folder, sampling)

    def run(self, task: str, model: str, folder: Path, sampling: Mapping[str, Any]) -> ResultsFile:
        """Return the run of a model on a task in this folder; make it unless it is there."""
        if (found := _done(folder, _name(task))) is not None:
            self._check_weights(found, model, folder)
        else:
            _evaluate_on(self._run_config(task, model, folder, sampling))
            found = _done(folder, _name(task))
        assert found is not None
        return found

    def _check_weights(self, found: ResultsFile, model: str, folder: Path) -> None:
        """Raise `UsageError` if a stored evaluation is of other weights than `model` has now."""
        from recode_eval.models.checkpoint import resolve_checkpoint
        from recode_eval.models.options import ModelOptions

        wanted = revision(self.config) if model == self.config.model else None
        now = resolve_checkpoint(model, ModelOptions(revision=wanted)).identity
        there = found.results.identity["model"]
        if any(_content(there.get(part)) != _content(files) for part, files in now.items()):
            raise UsageError(
                f"{folder} holds the evaluation of other weights than {model} has now: that model "
                f"was trained again, or replaced. Remove {folder}, and the same command evaluates "
                "the model of now."
            )

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
            problems=evaluated.problems,
            sandbox=SandboxOptions(tier=evaluated.sandbox),
            out=out,
            **sampling,
        )


def _content(files: Any) -> Any:
    """Return what identifies a model's files wherever they lie."""
    if not isinstance(files, dict):
        return files
    return {name: value for name, value in files.items() if name != "path"}


def _name(task: str) -> str:
    return task.partition("=")[0]


def _evaluate_on(config: RunConfig) -> None:
    """Evaluate; raises an error unless every sample is graded."""
    from recode_eval import evaluate

    [result] = evaluate(config)
    if result.unscored:
        raise InfrastructureError(
            f"{plural(result.unscored, 'sample')} of {config.model} on {result.task} could not be "
            f"graded ({result.folder}). The same command tries them again and continues."
        )
    if not result.content["counts"]["scored"]:
        raise DataError(
            f"No sample of {config.model} on {result.task} has a score ({result.folder}): every "
            "problem of the task is faulty."
        )


def stored_runs(folder: Path) -> list[ResultsFile]:
    """Return the runs of one model; raises `DataError` for results that are damaged."""
    return [read_run(file) for file in sorted(folder.glob(f"*/*/{RESULTS}"))]


def _done(out: Path, task: str) -> ResultsFile | None:
    """Return the complete result of the task, if the folder has one."""
    whole = (
        run for run in stored_runs(out) if run.task == task and not run.results.counts.unscored
    )
    return next(whole, None)
