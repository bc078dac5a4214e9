"""What the formats share: the checked facts about a run, read once, and safe file names."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError, UsageError
from recode_eval.metrics import metric, primary_of
from recode_eval.run.results import estimates, unsaid
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import ModelSection
    from recode_eval.stats.estimates import Bounds

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class About:
    """What a run's files do not know; empty means unknown."""

    model: str = ""
    """The model's public name, such as `org/model`; empty: the name in the results."""
    metrics: tuple[str, ...] = ()
    """The metrics to export, in this order; empty: all that have a value."""
    table: str = "problems"
    """Of `csv`: `metrics`, `problems` or `samples`."""
    dataset_id: str = ""
    """The data set's id on the hub; empty: the one that the rows were loaded from, if any."""
    task_id: str = ""
    """Of `eval-results`: the task within the data set; empty: the name of the run's task."""
    percent: bool = False
    """Of `eval-results`: 62.5 instead of 0.625."""
    source_url: str = ""
    source_name: str = ""
    organization: str = ""
    relationship: str = "other"
    """Of `every-eval-ever`: who evaluates, to the model's makers."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file; `path` is relative and made of harmless characters."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class ExportedMetric:
    """An estimate as `results.json` has it, in the metric's own unit."""

    name: str
    value: float
    low: float | None
    high: float | None
    standard_error: float | None
    problems: int
    clusters: int
    method: str
    bounds: Bounds

    @property
    def lower_is_better(self) -> bool:
        """Whether less of the metric is better."""
        return not metric(self.name).higher_is_better

    @property
    def k(self) -> int | None:
        """The k of pass@k and its kin."""
        return metric(self.name).k


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, with all text on one line and spelt out."""

    run: str
    model: str
    backend: str
    engine_version: str
    """The version of the package that ran the model; empty where there is none."""
    task: str
    task_version: int
    dataset_id: str
    """Empty where the rows came from no hub."""
    data_hash: str
    prompt: str
    prompt_hash: str
    n: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    created: datetime
    harness: str
    tier: str
    problems: int
    """Selected, whether they could be graded or not."""
    metrics: tuple[ExportedMetric, ...]
    unsaid: frozenset[str] = frozenset()
    """Settings of which another harness's log tells nothing: a number stands for them."""

    @property
    def settings(self) -> dict[str, float]:
        """What the samples were drawn with, as far as it is known."""
        found: dict[str, float] = {
            "n": self.n,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }
        return {name: value for name, value in found.items() if name not in self.unsaid}


def facts(run: ResultsFile, about: About) -> RunFacts:
    """Collect what the formats say of a run.

    Raises:
        DataError: the results lack something, or it is not what the schema says.
        UsageError: the run has no value of a metric that was asked for.
    """
    results = run.results
    try:
        found = RunFacts(
            run=results.run,
            model=_text(about.model or run.model),
            backend=_text(results.model.backend),
            engine_version=_version(results.model),
            task=_text(run.task),
            task_version=results.task.version,
            dataset_id=about.dataset_id or _hub_id(results.task.source),
            data_hash=results.task.data_hash,
            prompt=_text(results.prompt.name),
            prompt_hash=results.prompt.hash,
            n=run.n,
            temperature=results.sampling.temperature,
            top_p=results.sampling.top_p,
            max_tokens=results.sampling.max_tokens,
            seed=results.sampling.seed,
            created=_time(results.created),
            harness=_text(run.harness),
            tier=_text((results.sandbox or {}).get("tier", "")),
            problems=len(run.scores),
            metrics=(),
            unsaid=unsaid(results.cautions),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{run.source} is damaged ({type(error).__name__}: {error}). `recode-eval score RUN` "
            "rewrites it."
        ) from error
    return _with_metrics(found, run, about)


def _with_metrics(found: RunFacts, run: ResultsFile, about: About) -> RunFacts:
    computed = estimates(list(run.scores.values()), run.ks | {1})
    known = {
        name: _metric(name, raw, run)
        for name, raw in computed.items()
        if raw is not None and name in run.metrics
    }
    missing = [name for name in about.metrics if name not in known]
    if missing or not known:
        raise UsageError(
            f"{run.source} has no value of {', '.join(missing) or 'any metric'}. It has: "
            f"{', '.join(known) or 'no graded sample'}."
        )
    return replace(found, metrics=tuple(known[name] for name in about.metrics or known))


def _metric(name: str, raw: Mapping[str, Any], run: ResultsFile) -> ExportedMetric:
    return ExportedMetric(
        one_line(name, 200),
        raw["value"],
        raw["low"],
        raw["high"],
        raw["standard_error"],
        raw["problems"],
        raw["clusters"],
        raw["method"],
        run.metrics[name].bounds,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return one_line(value, 300)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _hub_id(source: str) -> str:
    """Return the source of the rows if it is an id of the hub; files are named without a folder."""
    return source if _HUB_ID.match(source) else ""


def _version(model: ModelSection) -> str:
    version = model.details.get(model.backend, "")
    return _text(version) if isinstance(version, str) else ""


def one_model(items: Sequence[RunFacts], name: str) -> str:
    """Return the model that all runs are of; raises `UsageError` for several, or a task twice."""
    models = list(dict.fromkeys(item.model for item in items))
    if len(models) > 1:
        raise UsageError(
            f"{name} describes one model, but these runs have {len(models)}: "
            f"{', '.join(models[:10])}. Export each by itself, or give --model-name."
        )
    tasks = [item.task for item in items]
    twice = next((task for task in tasks if tasks.count(task) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{name} takes each task once, but two of these runs have the task {twice}."
        )
    return models[0]


def primary(item: RunFacts, about: About) -> ExportedMetric:
    """Return the metric that ranks: the first one asked for, else the task's own."""
    by_name = {found.name: found for found in item.metrics}
    return by_name.get("" if about.metrics else primary_of(by_name), item.metrics[0])


def piece(name: str) -> str:
    """Return one part of a path for any name."""
    return _UNSAFE.sub("-", name).strip("-.")[:80] or "x"


def settings_text(item: RunFacts) -> str:
    """Say how the samples were drawn: `n = 10, temperature 0.8, top_p 0.95, 1024 tokens`."""
    words = {"n": "n = {}", "temperature": "temperature {:g}", "top_p": "top_p {:g}",
             "max_tokens": "at most {} tokens"}  # fmt: skip
    return ", ".join(words[name].format(value) for name, value in item.settings.items())


def all_facts(runs: Sequence[ResultsFile], about: About) -> list[RunFacts]:
    """Return the facts of all runs.

    Raises as `facts` does, and `UsageError` where one data set is named for several tasks.
    """
    found = [facts(run, about) for run in runs]
    if (about.dataset_id or about.task_id) and len({item.task for item in found}) > 1:
        raise UsageError(
            "--dataset-id and --task-id describe one task, but these runs have several. Export "
            "each task by itself."
        )
    return found
