"""From a `RunConfig` to results: opens what the names mean, runs, and closes everything again."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from recode_eval.documentation.arms import Kind
from recode_eval.errors import DataError, UsageError
from recode_eval.models.backends import backend_facts, get_backend
from recode_eval.run.docs import Documentation, parse_arms
from recode_eval.run.findings import Findings
from recode_eval.run.paying import Purse
from recode_eval.run.progress import WARNING, SilentMonitor
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.tasks.loading import LoadedTask, load_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.models.base import Model, SamplingParameters
    from recode_eval.run.config import RunConfig
    from recode_eval.run.config_parts import DocsOptions
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
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
        parse_arms(config.docs.arms)  # a file that is not there must not cost the loading of rows
        self.config = config
        self.monitor = monitor
        self._findings = Findings()
        self.loaded = self._load() if loaded is None else list(loaded)
        self._closing = contextlib.ExitStack()

    def run(self) -> list[dict[str, Any]]:
        """Evaluate the model on every task; returns the results (results.json and `folder`).

        With several documentation arms or with `repeats`, those of a task follow one another. An
        arm for which a task has nothing is passed over. Raises what is missing, all at once.
        """
        from recode_eval.run.preflight import checked

        first, *later = range(self.config.seed, self.config.seed + self.config.repeats)
        runs, purse = checked(self, self._findings)
        for text in self._findings.notes:
            self.monitor.log(f"Note: {text}.")
        if self.config.budget.is_limited:  # what a later run has stored is spent already
            for run, config, loaded, model in runs:
                purse.count(run)
                for seed in later:
                    one = replace(config, seed=seed)
                    purse.count(self._run(one, loaded, model, SilentMonitor()))
        found = []
        for run, config, loaded, model in runs:
            for seed in (first, *later):
                one = replace(config, seed=seed)
                this = run if seed == first else self._run(one, loaded, model, self.monitor)
                found.append(evaluate_run(one, this, model, self.sandboxes, purse))
        return found

    def _load(self) -> list[LoadedTask]:
        from recode_eval.run.preflight import load_each

        return load_each(self.config, self.monitor, self._findings)

    def open_models(self) -> list[tuple[LoadedTask, Model]]:
        """Return every task with the model that answers it; the session closes what it opens."""
        from recode_eval.distributed.factory import open_executor

        config, log = self.config, self.monitor.log
        model = str(config.model) if isinstance(config.model, Path) else config.model
        if not isinstance(model, str):
            self.sandboxes = self._enter(Sandboxes(config.sandbox, log))
            self._prepare_docs()
            return [(loaded, model) for loaded in self.loaded]
        backend = chosen_backend(model, config, log)
        if (talks := conversation_settings(config)) is not None:
            talks.check_backend(backend, model)
        executor = self._enter(open_executor(config.executor, log))
        executor.prepare(backend, config.model_options)
        self.sandboxes = self._enter(Sandboxes(config.sandbox, log, executor))
        if get_backend(backend).loads_checkpoint:
            open_first(self.sandboxes, self.loaded, config.isolation)
        self._prepare_docs()
        opened: list[tuple[LoadedTask, Model]] = []
        for group in answered_together(self.loaded, backend):
            made = executor.create_model(
                model, backend, config.model_options, known_solutions(group)
            )
            self._closing.callback(made.close)
            opened += [(loaded, made) for loaded in group]
        return opened

    def _run(self, config: RunConfig, loaded: LoadedTask, model: Model, monitor: Monitor) -> Run:
        return create_run(config, loaded, model, monitor, self.documentation)

    def prepare_alone(self) -> None:
        """Make the documentation without opening a model, as `open_models` does with one."""
        self.sandboxes = self._enter(Sandboxes(self.config.sandbox, self.monitor.log))
        self._prepare_docs()

    def _prepare_docs(self) -> None:
        self.documentation = Documentation(self.config, self.sandboxes, self.monitor.log)
        self.documentation.prepare(self.loaded)

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


def arm_by_arm(
    config: RunConfig, loaded: LoadedTask, documentation: Documentation
) -> list[RunConfig]:
    """Return the configuration with each single arm for which a task has something to show."""
    return [
        replace(config, docs=replace(config.docs, arms=(text,)))
        for text, arm in zip(config.docs.arms, documentation.arms, strict=True)
        if documentation.has(loaded, arm)
    ]


def evaluate_task(
    config: RunConfig,
    loaded: LoadedTask,
    model: Model,
    sandboxes: Sandboxes,
    monitor: Monitor,
    purse: Purse | None = None,
    documentation: Documentation | None = None,
) -> dict[str, Any]:
    """Evaluate a model on a task, write results.json, and return its content and the folder.

    The configuration names one documentation arm; `documentation` has its texts, if they are made.
    """
    if documentation is None:
        documentation = Documentation(config, sandboxes, monitor.log)
        documentation.prepare([loaded])
    run = create_run(config, loaded, model, monitor, documentation)
    return evaluate_run(config, run, model, sandboxes, purse or Purse(config.budget))


def evaluate_run(
    config: RunConfig, run: Run, model: Model, sandboxes: Sandboxes, purse: Purse
) -> dict[str, Any]:
    """Do the same for a run that is made already."""
    asked = purse.model_for(run, model, run.monitor.log)
    announce(run)
    return complete(run, asked, sandboxes, config.k, config.sandbox.named_tier)


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
            run.monitor.log(f"{WARNING}{advice}")
    return {**results, "folder": str(run.folder)}


def create_run(
    config: RunConfig,
    loaded: LoadedTask,
    model: Model,
    monitor: Monitor,
    documentation: Documentation,
) -> Run:
    """Combine the configuration, the prompt variant's defaults and the model into a `Run`."""
    from recode_eval.run.evaluation import Run

    task, data = loaded
    prompt, defaults = prompt_settings(config, task)
    [arm] = parse_arms(config.docs.arms)
    prompt = replace(prompt, docs=documentation.of(loaded, arm))
    sampling, n = _sampling(config, defaults, model, monitor.log)
    return Run(
        task,
        data,
        model.info,
        prompt,
        sampling,
        selection(config, n),
        scoring_settings(config),
        out=config.folder,
        monitor=monitor,
        settings=stored_settings(config, loaded.name, config.k),
        conversation=conversation_settings(config),
    )


def conversation_settings(config: RunConfig) -> ConversationSettings | None:
    """Return how samples are held; None where the model answers once. Raises `UsageError`."""
    from recode_eval.conversations.searching import read_texts, texts_hash
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
        "" if docs is None else texts_hash(read_texts(docs)),
        docs,
    )


def selection(config: RunConfig, n: int) -> Selection:
    """Return which problems a configuration selects, and `n` samples of each."""
    from recode_eval.run.settings import Selection

    return Selection(n, config.limit, tuple(config.problems), config.since, config.until)


def stored_settings(config: RunConfig, task: str, ks: Iterable[int]) -> dict[str, Any]:
    """Return what a manifest says of a run so that it can be graded again from anywhere."""
    return {
        "tasks": [task],
        "data": config.data.get(task),
        "include_path": [str(Path(path).resolve()) for path in config.include_path],
        "k": list(ks),
        "cutoff": config.cutoff,
        "quarantine": _digest(config.quarantine),
        **_stored_docs_options(config.docs),
    }


def _stored_docs_options(docs: DocsOptions) -> dict[str, Any]:
    """Name the arms and what shaped their texts; nothing for the prompt's own note."""
    if tuple(docs.arms) == (Kind.NOTE,):
        return {}
    arms = [arm.name for arm in parse_arms(docs.arms)]
    shaped = {"distractors": docs.distractors, "top": docs.top, "tokens": docs.tokens}
    return {"docs": {"arms": arms, **shaped}}


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
        update_note=tuple(config.docs.arms) == (Kind.NOTE,),
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
        f"{run.prompt.name}{_shown_docs(run.prompt)}{_shown_turns(run)}); stored in {run.folder}"
    )


def _shown_docs(prompt: PromptSettings) -> str:
    """Name the documentation arm, where it is not the prompt's own note."""
    if prompt.docs is None:
        return "" if prompt.update_note else ", docs none"
    return f", docs {prompt.docs.arm} of {prompt.docs.summary['mean_tokens']:.0f} tokens on average"


def _shown_turns(run: Run) -> str:
    """Say how often the model may answer, and what it may use, where it is a conversation."""
    from recode_eval.conversations.settings import described

    own = run.identity.get("conversation")
    return "" if own is None else f", {described(own)}"
