"""From a `RunConfig` to results: opens what the names mean, runs, and closes everything again."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from recode_eval.errors import DataError, UsageError
from recode_eval.models.backends import backend_facts, get_backend
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.tasks.loading import LoadedTask, load_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.models.base import Model, SamplingParameters
    from recode_eval.run.config import RunConfig
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.run.settings import PromptSettings, ScoringSettings
    from recode_eval.tasks.base import Defaults, Task

TEMPLATE_SUFFIXES = frozenset({".jinja2", ".jinja", ".j2"})


class Session:
    """The tasks, models and sandboxes of one configuration; a context manager.

    Tasks are loaded first and models last: a misspelt task or a missing sandbox must not cost the
    minutes that an engine takes to start.
    """

    def __init__(
        self, config: RunConfig, monitor: Monitor, loaded: Sequence[LoadedTask] | None = None
    ) -> None:
        """Open nothing yet; load only the rows, unless they are given."""
        self.config = config
        self.monitor = monitor
        self.loaded = load_configured(config, monitor.log) if loaded is None else list(loaded)
        self._closing = contextlib.ExitStack()

    def run(self) -> list[dict[str, Any]]:
        """Evaluate the model on every task; returns the results (results.json and `folder`).

        With `repeats`, those of a task follow one another. Raises `UsageError` for repeats of a
        model that gives the same answers whatever the seed.
        """
        seeds = range(self.config.seed, self.config.seed + self.config.repeats)
        found = []
        for loaded, model in self.open_models():
            facts = backend_facts(model.info.backend)
            if len(seeds) > 1 and (facts.deterministic or not facts.generates):
                raise UsageError(
                    f"{model.info.name} gives the same answers whatever the seed: leave out "
                    "--repeats."
                )
            found += [
                evaluate_task(
                    replace(self.config, seed=seed), loaded, model, self.sandboxes, self.monitor
                )
                for seed in seeds
            ]
        return found

    def open_models(self) -> list[tuple[LoadedTask, Model]]:
        """Return every task with the model that answers it; the session closes what it opens."""
        from recode_eval.distributed.factory import open_executor

        config, log = self.config, self.monitor.log
        model = str(config.model) if isinstance(config.model, Path) else config.model
        if not isinstance(model, str):
            self.sandboxes = self._enter(Sandboxes(config.sandbox, log))
            return [(loaded, model) for loaded in self.loaded]
        backend = chosen_backend(model, config, log)
        if (talks := conversation_settings(config)) is not None:
            talks.check_backend(backend, model)
        executor = self._enter(open_executor(config.executor, log))
        executor.prepare(backend, config.model_options)
        self.sandboxes = self._enter(Sandboxes(config.sandbox, log, executor))
        if get_backend(backend).loads_checkpoint:
            open_first(self.sandboxes, self.loaded, config.isolation)
        opened: list[tuple[LoadedTask, Model]] = []
        for group in answered_together(self.loaded, backend):
            made = executor.create_model(
                model, backend, config.model_options, known_solutions(group)
            )
            self._closing.callback(made.close)
            opened += [(loaded, made) for loaded in group]
        return opened

    def _enter(self, thing: Any) -> Any:
        return self._closing.enter_context(thing)

    def close(self) -> None:
        """Close models, sandboxes and the executor. Idempotent."""
        self._closing.close()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()


def load_configured(config: RunConfig, log: Callable[[str], None]) -> list[LoadedTask]:
    """Load the tasks of a configuration; raises `UsageError` if it names none."""
    if not config.tasks:
        raise UsageError("Name at least one task; `recode-eval tasks` lists them.")
    from recode_eval.tasks.quarantine import read_quarantine

    listed = None if config.quarantine is None else read_quarantine(config.quarantine)
    if listed is not None and (others := [one for one in config.tasks if one not in listed.tasks]):
        if len(others) == len(config.tasks):
            about = ", ".join(listed.tasks) or "no task"
            raise DataError(
                f"The quarantine {config.quarantine} is about {about}, not about "
                f"{', '.join(others)}. Make it anew: recode-eval validate --quarantine FILE"
            )
        log(f"the quarantine does not name, so nothing is left out of: {', '.join(others)}")
    return load_tasks(
        config.tasks,
        config.data,
        include_path=map(Path, config.include_path),
        skip_bad_rows=config.skip_bad_rows,
        quarantine=listed,
        log=log,
    )


def chosen_backend(model: str, config: RunConfig, log: Callable[[str], None]) -> str:
    """Return the back-end that the configuration names, or the one that fits; says why."""
    from recode_eval.models import choose_backend

    if config.backend != "auto":
        return config.backend
    backend, reason = choose_backend(model, config.model_options)
    log(f"Back-end: {backend} ({reason}).")
    return backend


def open_first(sandboxes: Sandboxes, loaded: Sequence[LoadedTask], isolation: str) -> None:
    """Open a sandbox before a model is loaded: minutes of loading must not end in "no sandbox"."""
    first = next((task for task, _ in loaded if task.conditions), loaded[0].task)
    sandboxes.opener(first, isolation)()


def answered_together(loaded: Sequence[LoadedTask], backend: str) -> list[Sequence[LoadedTask]]:
    """Return the groups of tasks that one model object answers.

    A baseline is made per task: two tasks may use the same ids for different problems.
    """
    return [[one] for one in loaded] if get_backend(backend).deterministic else [loaded]


def known_solutions(group: Iterable[LoadedTask]) -> dict[str, Any]:
    """Return problem id -> kind -> code, which baselines answer with."""
    return {p.id: p.solutions for _, data in group for p in data.problems}


def evaluate_task(
    config: RunConfig, loaded: LoadedTask, model: Model, sandboxes: Sandboxes, monitor: Monitor
) -> dict[str, Any]:
    """Evaluate a model on a task, write results.json, and return its content and the folder."""
    run = create_run(config, loaded, model, monitor)
    announce(run)
    return complete(run, model, sandboxes, config.k, config.sandbox.named_tier)


def complete(
    run: Run,
    model: Model | None,
    sandboxes: Sandboxes,
    ks: Iterable[int],
    tier: str | None,
    *,
    regrade: bool = False,
) -> dict[str, Any]:
    """Complete a run, write results.json, and return its content and the folder."""
    from recode_eval.run.advice import no_code_advice, solution_advice
    from recode_eval.run.results import compute_results
    from recode_eval.run.store import RESULTS, write_json

    opener = sandboxes.opener(run.task, run.scoring.isolation)
    data = run.execute(model, opener, regrade=regrade, tier=tier)
    results = compute_results(data, ks)
    write_json(run.folder / RESULTS, results)
    spec = run.task.spec
    for advice in (
        no_code_advice(results, spec.prompts),
        solution_advice(spec.name, spec.language, data.completions.values()),
    ):
        if advice is not None:
            run.monitor.log(advice)
    return {**results, "folder": str(run.folder)}


def create_run(config: RunConfig, loaded: LoadedTask, model: Model, monitor: Monitor) -> Run:
    """Combine the configuration, the prompt variant's defaults and the model into a `Run`."""
    from recode_eval.run.evaluation import Run
    from recode_eval.run.settings import Selection

    task, data = loaded
    prompt, defaults = prompt_settings(config, task)
    sampling, n = _sampling(config, defaults, model, monitor.log)
    return Run(
        task,
        data,
        model.info,
        prompt,
        sampling,
        Selection(n, config.limit, tuple(config.problems), config.since, config.until),
        scoring_settings(config),
        out=config.folder,
        monitor=monitor,
        settings=stored_settings(config, loaded.name, config.k),
        conversation=conversation_settings(config),
    )


def conversation_settings(config: RunConfig) -> ConversationSettings | None:
    """Return how samples are held; None where the model answers once. Raises `UsageError`."""
    from recode_eval.conversations.searching import read_folder, texts_hash
    from recode_eval.conversations.settings import ConversationSettings

    own = config.conversation
    if own.is_single:
        return None
    docs = None if own.tool_docs is None else Path(own.tool_docs)
    return ConversationSettings(
        own.turns,
        tuple(own.tools),
        own.tool_calls,
        own.tool_seconds,
        own.tool_tokens,
        "" if docs is None else texts_hash(read_folder(docs)),
        docs,
    )


def stored_settings(config: RunConfig, task: str, ks: Iterable[int]) -> dict[str, Any]:
    """Return what a manifest says of a run so that it can be graded again from anywhere."""
    return {
        "tasks": [task],
        "data": config.data.get(task),
        "include_path": [str(Path(path).resolve()) for path in config.include_path],
        "k": list(ks),
        "cutoff": config.cutoff,
        "quarantine": _digest(config.quarantine),
    }


def _digest(quarantine: Path | str | None) -> str | None:
    from recode_eval.tasks.quarantine import read_quarantine

    return None if quarantine is None else read_quarantine(quarantine).digest


def scoring_settings(config: RunConfig) -> ScoringSettings:
    """Return how to grade: limits from the references, or those that the configuration names."""
    from recode_eval.run.calibration import Calibration
    from recode_eval.run.settings import ScoringSettings, changed_limits
    from recode_eval.sandbox.base import Limits

    return ScoringSettings(
        changed_limits(Limits(), config.timeout_s, config.memory_mib),
        config.isolation,
        Calibration() if config.timeout_s is None else None,
    )


def prompt_settings(config: RunConfig, task: Task) -> tuple[PromptSettings, Defaults]:
    """Return the prompt and the sampling defaults that go with it; raises `UsageError`."""
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.settings import PromptSettings

    name = config.prompt or task.spec.default_prompt
    variant = task.spec.prompts.get(name)
    path = variant.path if variant else Path(name)
    if variant is None and path.suffix not in TEMPLATE_SUFFIXES:
        known = ", ".join(task.spec.prompts)
        raise UsageError(
            f"--prompt {name} is neither a prompt of {task.spec.name} ({known}) nor a .jinja2 file."
        )
    settings = PromptSettings(
        name=name if variant else path.name,
        template=PromptTemplate.from_file(path),
        source=str(path) if variant is None else f"{task.spec.name}/{path.name}",
        update_note=config.docs.arms == ("note",),
    )
    return settings, (variant or task.spec.prompts[task.spec.default_prompt]).defaults


def _sampling(
    config: RunConfig, defaults: Defaults, model: Model, log: Callable[[str], None]
) -> tuple[SamplingParameters, int]:
    from recode_eval.models.base import SamplingParameters

    given: dict[str, Any] = {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
        "stop": tuple(config.stop) if config.stop else None,
    }
    base = SamplingParameters(
        defaults.temperature, defaults.top_p, defaults.max_tokens, defaults.stop, config.seed
    )
    sampling = replace(base, **{k: v for k, v in given.items() if v is not None})
    n = config.n or getattr(model, "samples_per_problem", None) or defaults.n
    backend = backend_facts(model.info.backend)
    if backend.deterministic:
        n = 1
    elif sampling.temperature == 0 and n > 1 and backend.generates:
        log(f"Greedy decoding always gives the same answer: drawing one sample instead of {n}.")
        n = 1
    return sampling, n


def announce(run: Run) -> None:
    """Log what will be asked, how, and where it is stored."""
    sampling, n = run.sampling, run.selection.n
    how = (
        "greedy"
        if sampling.temperature == 0
        else (f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}")
    )
    if not backend_facts(run.model_info.backend).generates:
        how = run.model_info.backend
    run.monitor.log(
        f"{run.task.spec.name}: {len(run.problems)} problems x {n} ({how}, prompt "
        f"{run.prompt.name}); stored in {run.folder}"
    )
