"""`recode-eval sweep --models LIST|PATTERN --tasks TASKS`: many checkpoints as one job."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from recode_eval.commands import executor_options, options, run
from recode_eval.errors import ExitCode, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.distributed.base import Executor
    from recode_eval.models.base import Model
    from recode_eval.run.progress import Monitor
    from recode_eval.run.sweep import Ledger, Outcome
    from recode_eval.tasks.base import Task, TaskData

_NO_INFLUENCE = frozenset(
    {"command", "models", "out", "json", "quiet", "debug", "workers", "executor", "ray_address",
     "replicas", "replica_cpus", "base_image", "include_path", "api_key_env", "concurrency",
     "request_timeout", "max_retries", "i_know_this_is_unsafe"}
)  # fmt: skip
"""Arguments that change no result: with others of them, a finished model stays finished."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of `run`, with many models instead of one."""
    run.add_parser(parser)
    single = next(action for action in parser._actions if action.dest == "model")
    single.required, single.help = False, argparse.SUPPRESS
    parser.add_argument(
        "--models",
        type=options.names,
        required=True,
        metavar="MODEL[,MODEL]",
        help="checkpoints, hub ids, patterns like 'train-runs/*/checkpoint-*' (quoted), or "
        "@FILE with one a line",
    )


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Evaluate every model on every task, and print one table."""
    from recode_eval.errors import UsageError
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.sweep import find_models
    from recode_eval.terminal import stdout_for_results

    if arguments.model:
        raise UsageError("sweep takes --models, not --model.")
    models = find_models(arguments.models)
    monitor = create_monitor(quiet=arguments.quiet)
    with stdout_for_results():
        loaded = run.load_tasks(arguments, monitor.note)
        outcomes = _Sweep(arguments, loaded, monitor).run(models)
    _show(outcomes, arguments)
    return _exit_code(outcomes)


class _Sweep:
    """What all models of a job share."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        loaded: Sequence[tuple[Task, TaskData]],
        monitor: Monitor,
    ) -> None:
        from recode_eval.run.sweep import Ledger

        self._arguments, self._loaded, self._monitor = arguments, loaded, monitor
        self._options = options.model_options(arguments)
        self._ledger: Ledger = Ledger(arguments.out, self._job())
        self._identities: dict[str, Any] = {}

    def run(self, models: Sequence[str]) -> list[Outcome]:
        """Skip what is finished, and evaluate the rest."""
        from recode_eval.run.sweep import Outcome, work_through

        self._identities = {model: self._identity(model) for model in models}
        known = {model: self._finished(model) for model in models}
        left = [model for model in models if known[model] is None]
        if len(left) < len(models):
            self._monitor.note(f"{len(models) - len(left)} of {len(models)} models were complete.")
        fresh = {}
        if left:
            with contextlib.ExitStack() as closing:
                one = self._evaluator(closing, left)
                for outcome in work_through(left, one, at_once=self._at_once, done=self._tell):
                    fresh[outcome.model] = outcome
        return [
            fresh.get(model) or Outcome(model, known[model] or [], remembered=True)
            for model in models
        ]

    def _finished(self, model: str) -> list[dict[str, Any]] | None:
        identity = self._identities[model]
        return None if identity is None else self._ledger.finished(identity)

    def _evaluator(
        self, closing: contextlib.ExitStack, models: Sequence[str]
    ) -> Callable[[str], Outcome]:
        """Open what all models share, and return the function that evaluates one."""
        arguments, note = self._arguments, self._monitor.note
        executor = closing.enter_context(executor_options.open_executor(arguments, note))
        backends = {model: self._backend(model) for model in models}
        loading = [b for b in backends.values() if b in run.LOADING_BACKENDS]
        if loading:
            executor.prepare(loading[0], self._options)
        sandboxes = closing.enter_context(options.Sandboxes(arguments, note, executor))
        if loading:
            run.open_first(sandboxes, self._loaded, arguments.isolation)
        self._at_once, copies = executor.models_at_once(self._options, len(models))

        def evaluate(model: str) -> Outcome:
            return self._evaluate(model, backends[model], executor, copies, sandboxes)

        return evaluate

    def _evaluate(
        self,
        model: str,
        backend: str,
        executor: Executor,
        copies: int,
        sandboxes: options.Sandboxes,
    ) -> Outcome:
        from recode_eval.run.progress import SilentMonitor
        from recode_eval.run.sweep import Outcome

        named = argparse.Namespace(**{**vars(self._arguments), "model": model})
        # Bars of several models at once would overwrite each other.
        monitor = self._monitor if self._at_once == 1 else SilentMonitor()
        results: list[dict[str, Any]] = []
        for group in run.answered_together(self._loaded, backend):
            answers = {p.id: p.answers for _, data in group for p in data.problems}
            loaded: Model = executor.create_model(
                model, backend, self._options, answers, copies=copies
            )
            with contextlib.closing(loaded):
                results += [
                    run.evaluate(named, task, data, loaded, sandboxes, monitor)
                    for task, data in group
                ]
        # Files that changed meanwhile are another model than the one that answered.
        identity = self._identities[model]
        if identity is not None and identity == self._identity(model):
            self._ledger.add(identity, results)
        return Outcome(model, results)

    def _backend(self, model: str) -> str:
        named = argparse.Namespace(**{**vars(self._arguments), "model": model})
        return run.chosen_backend(named, self._options, lambda _: None)

    def _identity(self, model: str) -> Any:
        """Return what tells two models apart without loading them, or None.

        None: loading costs nothing, or the files are not to be had here, as only a later attempt
        can say.
        """
        from recode_eval.errors import RecodeError
        from recode_eval.models.checkpoint import resolve_checkpoint

        backend = self._backend(model)
        if backend not in run.LOADING_BACKENDS:
            return None
        try:
            return [model, backend, resolve_checkpoint(model, self._options).identity]
        except StorageError:
            raise
        except RecodeError:  # Told with the model's name when it is its turn.
            return None

    def _job(self) -> Any:
        """Everything but the model that decides the results."""
        settings = {
            name: value
            for name, value in vars(self._arguments).items()
            if name not in _NO_INFLUENCE
        }
        scoring = run.scoring_settings(self._arguments)
        tasks = [
            [task.spec.name, task.spec.version, data.content_hash, scoring.hash(task, data)]
            for task, data in self._loaded
        ]
        prompts = [
            run.prompt_settings(self._arguments, task)[0].template.content_hash
            for task, _ in self._loaded
        ]
        return [settings, tasks, prompts]

    def _tell(self, outcome: Outcome) -> None:
        from recode_eval.terminal import one_line

        name = one_line(outcome.model, 80)
        if outcome.error is not None:
            self._monitor.note(f"{name}: FAILED: {one_line(str(outcome.error), 300)}")
            return
        figures = ", ".join(
            f"{result['task']['name']} {_figure(result)}" for result in outcome.results
        )
        self._monitor.note(f"{name}: {figures}")


def _figure(result: dict[str, Any]) -> str:
    """Return the value that a table of many models shows of a run."""
    from recode_eval.run.report import format_estimate, label

    name = "pass@1" if result["metrics"].get("pass@1") else "es"
    unscored = result["counts"]["unscored"]
    text = f"{label(name)} {format_estimate(name, result['metrics'].get(name))}"
    return f"{text}, {unscored} unscored" if unscored else text


def _show(outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> None:
    if arguments.json:
        content = [
            {
                "model": outcome.model,
                "error": None if outcome.error is None else str(outcome.error),
                "results": outcome.results,
            }
            for outcome in outcomes
        ]
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    from rich.table import Table

    from recode_eval.terminal import one_line, stdout_console

    table = Table(caption="in percent, with 95 % intervals clustered by update")
    table.add_column("model", overflow="fold")
    for task in arguments.tasks:
        table.add_column(task, overflow="fold")
    for outcome in outcomes:
        cells = {result["task"]["name"]: _figure(result) for result in outcome.results}
        if outcome.error is not None:
            cells = dict.fromkeys(
                arguments.tasks[:1], f"failed: {one_line(str(outcome.error), 200)}"
            )
        table.add_row(
            one_line(outcome.model, 80), *(cells.get(task, "-") for task in arguments.tasks)
        )
    stdout_console().print(table)


def _exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """Return `CHECK_FAILED` if a model failed, else as for a single run."""
    if any(outcome.error is not None for outcome in outcomes):
        return ExitCode.CHECK_FAILED
    return run.exit_code([result for outcome in outcomes for result in outcome.results])
