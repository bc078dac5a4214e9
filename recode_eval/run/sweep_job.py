"""Evaluating many models on many tasks: what they share is opened once."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recode_eval.errors import RecodeError, StorageError
from recode_eval.models.backends import get_backend
from recode_eval.models.options import ModelOptions
from recode_eval.run import session
from recode_eval.run.config import to_mapping
from recode_eval.run.docs import Documentation, documents_digest
from recode_eval.run.paying import Purse, read_prices
from recode_eval.run.progress import WARNING
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.run.sweep import Ledger, Outcome, work_through

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.distributed.base import Executor
    from recode_eval.models.base import Model
    from recode_eval.run.config import RunConfig
    from recode_eval.run.progress import Monitor

_CHANGES_NO_RESULT = ("model", "out", "executor", "include_path")
_CHANGES_NO_RESULT_OF_MODEL = ("api_key_env", "concurrency", "request_timeout", "max_retries")


def sweep(models: Sequence[str], config: RunConfig, monitor: Monitor) -> list[Outcome]:
    """Evaluate every model as `config` says, in the order given; skip finished models.

    `config.model` is ignored. A model that cannot be evaluated is an outcome with its error and
    stops no other one. Raises what stops all: `UsageError` for the tasks, `StorageError` for the
    disk, `InfrastructureError` for a missing sandbox.
    """
    return SweepJob(config, monitor).run(models)


class SweepJob:
    """What all models of a job share."""

    def __init__(self, config: RunConfig, monitor: Monitor) -> None:
        """Load the tasks; raises what loading them raises."""
        self._config, self._monitor = config, monitor
        self._purse = Purse(config.budget)
        self._loaded = session.load_configured(config, monitor.log)
        self._ledger = Ledger(config.folder, self._job())
        self._identities: dict[str, Any] = {}
        self._at_once = 1

    def run(self, models: Sequence[str]) -> list[Outcome]:
        """Skip finished models, and evaluate the rest."""
        self._identities = {model: self._identity(model) for model in models}
        known = {model: self._finished(model) for model in models}
        left = [model for model in models if known[model] is None]
        if len(left) < len(models):
            self._monitor.log(
                f"{len(models) - len(left)} of {len(models)} models are already complete."
            )
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
        from recode_eval.distributed.factory import open_executor

        config, log = self._config, self._monitor.log
        executor = closing.enter_context(open_executor(config.executor, log))
        backends = {model: self._backend(model) for model in models}
        loading = [b for b in backends.values() if get_backend(b).loads_checkpoint]
        if loading:
            executor.prepare(loading[0], config.model_options)
        sandboxes = closing.enter_context(Sandboxes(config.sandbox, log, executor))
        if loading:
            session.open_first(sandboxes, self._loaded, config.isolation)
        documentation = Documentation(config, sandboxes, log)
        documentation.prepare(self._loaded)
        self._at_once, copies = executor.models_at_once(config.model_options, len(models))

        def evaluate(model: str) -> Outcome:
            return self._evaluate(
                model, backends[model], executor, copies, sandboxes, documentation
            )

        return evaluate

    def _evaluate(
        self,
        model: str,
        backend: str,
        executor: Executor,
        copies: int,
        sandboxes: Sandboxes,
        documentation: Documentation,
    ) -> Outcome:
        from recode_eval.run.progress import SilentMonitor

        config = self._config.with_model(model)
        # Bars of several models at once would overwrite each other.
        monitor = self._monitor if self._at_once == 1 else SilentMonitor()
        results: list[dict[str, Any]] = []
        for group in session.answered_together(self._loaded, backend):
            opened: Model = executor.create_model(
                model,
                backend,
                config.model_options,
                session.known_solutions(group),
                copies=copies,
            )
            with contextlib.closing(opened):
                results += [
                    session.evaluate_task(
                        single, loaded, opened, sandboxes, monitor, self._purse, documentation
                    )
                    for loaded in group
                    for single in session.arm_by_arm(config, loaded, documentation)
                ]
        # Files that changed meanwhile are another model than the one that answered.
        identity = self._identities[model]
        if identity is not None and identity == self._identity(model):
            self._ledger.add(identity, results)
        return Outcome(model, results)

    def _backend(self, model: str) -> str:
        return session.chosen_backend(model, self._config, lambda _: None)

    def _identity(self, model: str) -> Any:
        """Return what tells two models apart without loading them, or None.

        None: loading costs nothing, or the files are not available here, as only a later attempt
        can say.
        """
        from recode_eval.models.checkpoint import resolve_checkpoint

        backend = self._backend(model)
        if not get_backend(backend).loads_checkpoint:
            return None
        try:
            checkpoint = resolve_checkpoint(model, self._config.model_options)
        except StorageError:
            raise
        except RecodeError:  # Told with the model's name when it is its turn.
            return None
        return [model, backend, checkpoint.identity]

    def _job(self) -> Any:
        """Everything except the model that decides the results."""
        scoring = session.scoring_settings(self._config)
        tasks = [
            [task.spec.name, task.spec.version, data.content_hash, scoring.hash(task, data)]
            for task, data in self._loaded
        ]
        prompts = [
            session.prompt_settings(self._config, task)[0].template.content_hash
            for task, _ in self._loaded
        ]
        documents = documents_digest(self._config.docs.arms)
        return [_decisive(self._config), tasks, prompts, *([documents] if documents else [])]

    def _tell(self, outcome: Outcome) -> None:
        from recode_eval.run.report import column_of, main_figure
        from recode_eval.terminal import one_line

        name = one_line(outcome.model, 80)
        if outcome.error is not None:
            self._monitor.log(f"{WARNING}{name} FAILED: {one_line(str(outcome.error), 300)}")
            return
        figures = ", ".join(
            f"{column_of(result)} {main_figure(result)}" for result in outcome.results
        )
        self._monitor.log(f"{name}: {figures}")


def _decisive(config: RunConfig) -> dict[str, Any]:
    """Return the settings with which a finished model is another one's result."""
    defaults = ModelOptions()
    same = {name: getattr(defaults, name) for name in _CHANGES_NO_RESULT_OF_MODEL}
    model_options = replace(config.model_options, **same)
    content = to_mapping(replace(config, model="", model_options=model_options))
    content["sandbox"] = {"tier": config.sandbox.tier}
    prices = config.budget.prices  # a budget changes no result, but prices do
    content["budget"] = [] if prices is None else [x.to_json() for x in read_prices(prices)]
    return {key: value for key, value in content.items() if key not in _CHANGES_NO_RESULT}
