"""`recode-eval --model MODEL --tasks TASKS`: evaluate a model (the command without a name)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import executor_options, options
from recode_eval.errors import ExitCode, InfrastructureError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from recode_eval.models.base import Model, SamplingParameters
    from recode_eval.models.options import ModelOptions
    from recode_eval.run.config import PromptSettings, ScoringSettings
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.tasks.base import BadRow, Defaults, Task, TaskData

DETERMINISTIC_BACKENDS = {"baseline"}
LOADING_BACKENDS = {"transformers", "vllm"}
TEMPLATE_SUFFIXES = {".jinja2", ".jinja", ".j2"}


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    options.add_model_options(parser)
    options.add_task_options(parser, default=None)
    options.add_sampling_options(parser)
    options.add_sandbox_options(parser)
    executor_options.add_executor_options(parser)
    options.add_output_options(parser)
    parser.add_argument(
        "--out",
        type=options.path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where runs are stored; the same command continues its run (default: runs)",
    )


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Evaluate one model on all given tasks."""
    from recode_eval.run import report
    from recode_eval.run.progress import create_monitor
    from recode_eval.terminal import stdout_for_results

    monitor = create_monitor(quiet=arguments.quiet)
    with stdout_for_results():
        loaded = load_tasks(arguments, monitor.note)
        results = _evaluate_all(arguments, loaded, monitor)
    report.show(results, as_json=arguments.json, quiet=arguments.quiet)
    return exit_code(results)


def _evaluate_all(
    arguments: argparse.Namespace, loaded: Sequence[tuple[Task, TaskData]], monitor: Monitor
) -> list[dict[str, Any]]:
    with contextlib.ExitStack() as cleanup:
        models, sandboxes = open_models(arguments, loaded, monitor, cleanup)
        return [
            evaluate(arguments, task, data, model, sandboxes, monitor)
            for task, data, model in models
        ]


def open_models(
    arguments: argparse.Namespace,
    loaded: Sequence[tuple[Task, TaskData]],
    monitor: Monitor,
    cleanup: contextlib.ExitStack,
) -> tuple[list[tuple[Task, TaskData, Model]], options.Sandboxes]:
    """Return every task with the model that answers it, and the sandboxes; `cleanup` closes all."""
    model_options = options.model_options(arguments)
    backend = chosen_backend(arguments, model_options, monitor.note)
    executor = cleanup.enter_context(executor_options.open_executor(arguments, monitor.note))
    executor.prepare(backend, model_options)
    sandboxes = cleanup.enter_context(options.Sandboxes(arguments, monitor.note, executor))
    if backend in LOADING_BACKENDS:
        open_first(sandboxes, loaded, arguments.isolation)
    models = []
    for group in answered_together(loaded, backend):
        answers = {p.id: p.answers for _, data in group for p in data.problems}
        model = executor.create_model(arguments.model, backend, model_options, answers)
        cleanup.callback(model.close)
        models += [(task, data, model) for task, data in group]
    return models, sandboxes


def chosen_backend(
    arguments: argparse.Namespace, model_options: ModelOptions, note: Callable[[str], None]
) -> str:
    """Return the back-end that the command line names, or the one that fits; says why."""
    from recode_eval.models import choose_backend

    backend: str = arguments.backend
    if backend == "auto":
        backend, reason = choose_backend(arguments.model, model_options)
        note(f"Back-end: {backend} ({reason}).")
    return backend


def open_first(
    sandboxes: options.Sandboxes, loaded: Sequence[tuple[Task, TaskData]], isolation: str
) -> None:
    """Open a sandbox before a model is loaded: minutes of loading must not end in "no sandbox"."""
    first = next((task for task, _ in loaded if task.conditions), loaded[0][0])
    sandboxes.opener(first, isolation)()


def answered_together(
    loaded: Sequence[tuple[Task, TaskData]], backend: str
) -> list[Sequence[tuple[Task, TaskData]]]:
    """Return the groups of tasks that one model object answers.

    A baseline is made per task: two tasks may use the same ids for different problems.
    """
    return [[pair] for pair in loaded] if backend in DETERMINISTIC_BACKENDS else [loaded]


def exit_code(results: Sequence[dict[str, Any]]) -> ExitCode:
    """Return `INCOMPLETE` if a sample is unscored, `DATA` if a task has no problem that works."""
    counts = [result["counts"] for result in results]
    if any(count["unscored"] for count in counts):
        return ExitCode.INCOMPLETE
    return ExitCode.OK if all(count["scored"] for count in counts) else ExitCode.DATA


def load_tasks(
    arguments: argparse.Namespace, note: Callable[[str], None]
) -> list[tuple[Task, TaskData]]:
    """Load all tasks before anything expensive starts; says which rows were left out."""
    from recode_eval.tasks.base import Preparing
    from recode_eval.tasks.registry import create_task

    sources = options.data_sources(arguments.data, arguments.tasks)
    loaded = []
    for name in dict.fromkeys(arguments.tasks):
        task = create_task(name, arguments.include_path)
        data = task.load(sources.get(name), skip_bad_rows=arguments.skip_bad_rows)
        for row in data.bad_rows:
            note(f"left out: {row}")
        if isinstance(task, Preparing):
            data = task.prepare(data, note)
            for reason, rows in _by_reason(data.skipped).items():
                note(f"skipped, cannot run here: {', '.join(rows)}: {reason}")
            if not data.problems:
                raise InfrastructureError(f"No problem of {name} can run here: {data.skipped[0]}")
        loaded.append((task, data))
    return loaded


def _by_reason(rows: Sequence[BadRow]) -> dict[str, list[str]]:
    """Return the rows of each reason: half a benchmark may lack the same wheels."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.reason, []).append(row.where)
    return reasons


def evaluate(
    arguments: argparse.Namespace,
    task: Task,
    data: TaskData,
    model: Model,
    sandboxes: options.Sandboxes,
    monitor: Monitor,
) -> dict[str, Any]:
    """Evaluate a model on a task, write results.json, and return its content."""
    run = create_run(arguments, task, data, model, monitor)
    monitor.note(f"{task.spec.name}: {describe(run)}; stored in {run.folder}")
    return work_off(run, model, sandboxes, arguments.k, options.named_tier(arguments))


def work_off(
    run: Run,
    model: Model,
    sandboxes: options.Sandboxes,
    ks: Iterable[int],
    tier: str | None,
) -> dict[str, Any]:
    """Do what is missing of a run, write results.json, and return its content."""
    from recode_eval.run.results import compute_results
    from recode_eval.run.store import RESULTS, write_json

    opener = sandboxes.opener(run.task, run.scoring.isolation)
    results = compute_results(run.execute(model, opener, tier=tier), ks)
    write_json(run.folder / RESULTS, results)
    return {**results, "folder": str(run.folder)}


def create_run(
    arguments: argparse.Namespace, task: Task, data: TaskData, model: Model, monitor: Monitor
) -> Run:
    """Combine the command line, the prompt variant's defaults and the model into a `Run`."""
    from recode_eval.run.config import Selection
    from recode_eval.run.evaluation import Run

    prompt, defaults = prompt_settings(arguments, task)
    sampling, n = _sampling(arguments, defaults, model, monitor.note)
    return Run(
        task,
        data,
        model.info,
        prompt,
        sampling,
        Selection(n, arguments.limit, tuple(arguments.problems)),
        scoring_settings(arguments),
        out=arguments.out,
        monitor=monitor,
        settings={
            "tasks": [task.spec.name],
            "data": options.data_sources(arguments.data).get(task.spec.name),
            "include_path": [str(path.resolve()) for path in arguments.include_path],
            "k": arguments.k,
        },
    )


def scoring_settings(arguments: argparse.Namespace) -> ScoringSettings:
    """Return how to judge: limits from the references, or those that the command line names."""
    from recode_eval.run.calibration import Calibration
    from recode_eval.run.config import ScoringSettings

    calibration = Calibration() if arguments.timeout is None else None
    return ScoringSettings(options.limits(arguments), arguments.isolation, calibration)


def prompt_settings(arguments: argparse.Namespace, task: Task) -> tuple[PromptSettings, Defaults]:
    """Return the prompt and the sampling defaults that go with it."""
    from recode_eval.run.config import PromptSettings
    from recode_eval.run.prompts import PromptTemplate

    name = arguments.prompt or task.spec.default_prompt
    variant = task.spec.prompts.get(name)
    path = variant.path if variant else Path(name)
    if variant is None and path.suffix not in TEMPLATE_SUFFIXES:
        known = ", ".join(task.spec.prompts)
        raise UsageError(
            f"--prompt {name}: not a prompt of {task.spec.name} ({known}) and not a .jinja2 file."
        )
    defaults = (variant or task.spec.prompts[task.spec.default_prompt]).defaults
    settings = PromptSettings(
        name=name if variant else path.name,
        template=PromptTemplate.from_file(path),
        source=str(path) if variant is None else f"{task.spec.name}/{path.name}",
        update_note=not arguments.no_update_note,
    )
    return settings, defaults


def _sampling(
    arguments: argparse.Namespace, defaults: Defaults, model: Model, note: Callable[[str], None]
) -> tuple[SamplingParameters, int]:
    from recode_eval.models.base import SamplingParameters

    given = {
        "temperature": arguments.temperature,
        "top_p": arguments.top_p,
        "max_tokens": arguments.max_tokens,
        "stop": tuple(arguments.stop) if arguments.stop else None,
    }
    base = SamplingParameters(
        defaults.temperature, defaults.top_p, defaults.max_tokens, defaults.stop, arguments.seed
    )
    sampling = replace(base, **{k: v for k, v in given.items() if v is not None})
    n = arguments.n or getattr(model, "samples_per_problem", None) or defaults.n
    if model.info.backend in DETERMINISTIC_BACKENDS:
        n = 1
    elif sampling.temperature == 0 and n > 1 and model.info.backend != "replay":
        note(f"Greedy decoding gives the same answer every time: one sample instead of {n}.")
        n = 1
    return sampling, n


def describe(run: Run) -> str:
    """Say what will be asked, and how."""
    sampling, n = run.sampling, run.selection.n
    how = (
        "greedy"
        if sampling.temperature == 0
        else (f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}")
    )
    if run.model_info.backend in {"baseline", "replay"}:
        how = run.model_info.backend
    return f"{len(run.problems)} problems x {n} ({how}, prompt {run.prompt.name})"
