"""The library's functions: each opens its resources, works, and closes them again.

Nothing here prints, exits or changes a global state. An error is one of `recode_eval.errors`. An
interruption (Ctrl-C) leaves stored runs that the same call continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.checks import of_type, path, paths, plain, texts, within
from recode_eval.errors import UsageError
from recode_eval.plugins import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recode_eval.comparison.differences import Comparison
    from recode_eval.comparison.lift import Lift
    from recode_eval.gating.candidate import Candidate
    from recode_eval.gating.decision import Decision
    from recode_eval.gating.policy import Policy
    from recode_eval.run.config import RunConfig
    from recode_eval.run.progress import Progress
    from recode_eval.run.rescore import RescoreConfig

Places = str | Path | Sequence[str | Path]
"""One or several stored runs: a run's folder, its results.json, a folder with a run per task, a
pack, `hub:OWNER/NAME/path`, or a log of inspect_ai or lm-eval (docs/integrations.md)."""


@dataclass(frozen=True)
class TaskResult:
    """What a run of one task measured."""

    content: Mapping[str, Any]
    """The content of results.json (docs/results.md)."""
    folder: Path
    """The stored run."""

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.content["task"]["name"])

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any] | None]:
        """Metric to its estimate (`value`, `low`, `high`, ...); None where it has no value."""
        found: Mapping[str, Mapping[str, Any] | None] = self.content["metrics"]
        return found

    def value(self, metric: str) -> float | None:
        """Return a metric's value as a share (0 to 1) or in its own unit; None if it has none.

        Raises `UsageError` for a metric that the task does not have.
        """
        if not isinstance(metric, str) or metric not in self.metrics:
            raise UsageError(unknown(f"metric of {self.task}", metric, self.metrics))
        estimate = self.metrics[metric]
        return None if estimate is None else float(estimate["value"])

    @property
    def unscored(self) -> int:
        """Samples that could not be graded; the same call tries them again."""
        return int(self.content["counts"]["unscored"])


@dataclass(frozen=True)
class Evaluation:
    """The results of a model, task by task, in the order in which they were asked for."""

    results: tuple[TaskResult, ...]

    def __getitem__(self, task: str) -> TaskResult:
        """Return a task's result; raises `UsageError` for one that was not evaluated."""
        for result in self.results:
            if result.task == task:
                return result
        raise UsageError(unknown("task", task, [result.task for result in self.results]))

    def __iter__(self) -> Iterator[TaskResult]:
        """Go through the results."""
        return iter(self.results)

    def __len__(self) -> int:
        """Count the tasks."""
        return len(self.results)

    @property
    def complete(self) -> bool:
        """Whether every sample of every task is graded."""
        return not any(result.unscored for result in self.results)

    def contents(self) -> list[dict[str, Any]]:
        """Return what `--json` prints: the content of each results.json, and the run's `folder`."""
        return [dict(result.content) for result in self.results]

    def table(self) -> str:
        """Return the table that the command line prints, as text."""
        from recode_eval.run.report import as_text

        return as_text(self.contents())

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.table())}</pre>"


def evaluate(config: RunConfig, *, progress: Progress = None) -> Evaluation:
    """Evaluate a model on its tasks; generate and grade only what is not stored yet.

    `progress` is a callback for `ProgressEvent`s, or True for a bar (a terminal, a notebook) or
    lines (elsewhere). By default the function prints nothing.

    Raises:
        UsageError: a task, prompt, back-end or option does not exist or does not fit.
        DataError: a task's rows are malformed.
        InfrastructureError: a sandbox, a model, a server or the hub is unavailable.

    >>> from recode_eval import RunConfig, evaluate
    >>> config = RunConfig(
    ...     model="baseline:reference", tasks=["arena-mini"], limit=4, k=[1], out=runs
    ... )
    >>> result = evaluate(config)
    >>> result["arena-mini"].value("pass@1"), result.complete
    (1.0, True)
    """
    from recode_eval.run.config import RunConfig
    from recode_eval.run.progress import resolve_monitor
    from recode_eval.run.session import Session

    of_type("config", config, RunConfig, "a RunConfig")
    with Session(config, resolve_monitor(progress)) as session:
        return _evaluation(session.run())


def rescore(
    runs: Places, config: RescoreConfig | None = None, *, progress: Progress = None
) -> Evaluation:
    """Grade stored completions again, without their model.

    Raises:
        UsageError: a path is not the folder of a run.
        DataError: a manifest is damaged, or the completions or rows do not match the run.
        InfrastructureError: no sandbox is available.

    >>> from recode_eval import RescoreConfig, RunConfig, evaluate, rescore
    >>> config = RunConfig(model="baseline:stale", tasks=["arena-mini"], limit=4, k=[1], out=runs)
    >>> [stored] = evaluate(config)
    >>> [again] = rescore(stored.folder, RescoreConfig(everything=True))
    >>> again.value("pass@1")
    0.0
    """
    from recode_eval.run.progress import resolve_monitor
    from recode_eval.run.rescore import RescoreConfig, rescore_runs

    config = RescoreConfig() if config is None else config
    of_type("config", config, RescoreConfig, "a RescoreConfig")
    return _evaluation(rescore_runs(_paths("runs", runs), config, resolve_monitor(progress)))


def compare(
    *runs: str | Path | Sequence[str | Path],
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare stored runs with the first one: paired by problem, clustered, corrected by Holm.

    `metrics` defaults to all; fewer metrics make the correction milder. `confidence` is the level
    of the intervals, between 0 and 1. A comparison's `cautions` name the metrics that one of the
    runs lacks, and those that only some problems have.

    Raises:
        UsageError: there are fewer than two runs, they share no task, problem or metric, or none of
            them has one of the metrics.
        DataError: results are damaged, or used different data.

    >>> from recode_eval import RunConfig, compare, evaluate
    >>> folders = [
    ...     evaluate(
    ...         RunConfig(model=f"baseline:{kind}", tasks=["arena-mini"], limit=8, k=[1], out=runs)
    ...     )["arena-mini"].folder
    ...     for kind in ("reference", "stale")
    ... ]
    >>> [found] = compare(*folders, metrics=["pass@1"])
    >>> found.differences[0].estimate.mean
    -1.0
    """
    from recode_eval.comparison.differences import compare as compare_pairs
    from recode_eval.comparison.pairing import check_metrics, pair_runs, why_nothing_pairs

    if len(runs) == 1 and not isinstance(runs[0], str | Path):
        runs = tuple(_paths("runs", runs[0]))
    if metrics is not None:
        metrics = texts("metrics", metrics)
    confidence = _confidence(confidence)
    pairs, cautions = pair_runs(_paths("runs", runs))
    if metrics:
        check_metrics(metrics, [run for pair in pairs for run in pair])
    comparisons = compare_pairs(pairs, metrics, confidence, cautions)
    for item in comparisons:
        if not item.differences:
            raise UsageError(why_nothing_pairs(item.baseline, item.candidate))
    return comparisons


def lift(
    *runs: str | Path | Sequence[str | Path],
    references: Sequence[str] = ("none", "note"),
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> list[Lift]:
    """Compare the arms of `--docs` of each model and task: paired by problem, Holm-corrected.

    `runs` differ in what the prompt told the model; a folder given with `--out` names all runs in
    it. Every arm is compared with those of `references` that were run. `metrics` defaults to
    pass@1 and what tells whether the old API stops; the primary metric is always among them.

    Raises:
        UsageError: no model has two arms of which one is a reference, or an arm is there twice.
        DataError: results are damaged.

    >>> from recode_eval import RunConfig, evaluate, lift
    >>> config = RunConfig(
    ...     model="baseline:reference", tasks=["arena-mini"], docs=["none", "note"], limit=8,
    ...     k=[1], out=runs)
    >>> folders = [result.folder for result in evaluate(config)]
    >>> [found] = lift(folders)
    >>> [(x.arm, x.reference, x.primary.estimate.mean) for x in found.effects]
    [('note', 'none', 0.0)]
    """
    from recode_eval.comparison.lift import lifts
    from recode_eval.comparison.pairing import check_metrics
    from recode_eval.run.results_file import load_every_run

    places = [one for item in runs for one in _paths("runs", item)]
    if not places:
        raise UsageError("runs: name at least one stored run.")
    found = load_every_run(places)
    if metrics is not None:
        metrics = texts("metrics", metrics)
        check_metrics(metrics, found)
    return lifts(
        found,
        references=texts("references", references),
        metrics=metrics,
        confidence=_confidence(confidence),
    )


def _confidence(value: Any) -> float:
    """Return a level of intervals; raises `UsageError` for what is none."""
    value = plain(value)
    of_type("confidence", value, (int, float), "a number between 0 and 1")
    within("confidence", value, 0, 1, above=True)
    if value == 1:
        raise UsageError("confidence must be below 1.")
    return float(value)


def gate(
    baseline: Places,
    candidate: Places | Candidate,
    *,
    policy: Policy | Path | str | None = None,
    rerun_baseline: Places = (),
    rerun_candidate: Places = (),
    progress: Progress = None,
) -> Decision:
    r"""Decide whether a candidate may replace the baseline: pass, regress, inconclusive or invalid.

    `candidate` is a stored run like the baseline, or a `Candidate`: a model that the gate samples
    with the baseline's settings, in looks, until the verdict is certain. `policy` is a file or a
    `Policy`; None is the default policy. The gate uses the reruns (both sides with another seed) if
    the policy declares a rerun and the first verdict is inconclusive.

    Raises:
        UsageError: policy, runs and reruns do not fit together.
        DataError: results are damaged.
        InfrastructureError: this machine cannot sample the candidate.

    >>> import json
    >>> from recode_eval import RunConfig, evaluate, gate, load_task
    >>> problems = load_task("arena-mini").problems[:12]
    >>> def stored(kind):
    ...     file = runs / f"{kind}.jsonl"
    ...     solutions = [{"task_id": p.id, "solution": p.solutions[kind]} for p in problems]
    ...     _ = file.write_text("\n".join(map(json.dumps, 2 * solutions)))
    ...     model = f"replay:{file}"
    ...     return evaluate(RunConfig(model=model, tasks=["arena-mini"], limit=12, out=runs))
    >>> old, new = (stored(kind)["arena-mini"].folder for kind in ("reference", "stale"))
    >>> str(gate(old, new).verdict)
    'regress'
    """
    from recode_eval.gating.candidate import Candidate, sample_and_decide
    from recode_eval.gating.decision import decide, decide_again
    from recode_eval.gating.policy import Policy, load_policy
    from recode_eval.run.progress import resolve_monitor
    from recode_eval.run.results_file import load_runs

    if isinstance(policy, Policy):
        rule = policy
    else:
        rule = load_policy(None if policy is None else path("policy", policy))
    again = _paths("rerun_baseline", rerun_baseline, needed=False)
    new_again = _paths("rerun_candidate", rerun_candidate, needed=False)
    if bool(again) != bool(new_again) and not isinstance(candidate, Candidate):
        raise UsageError("A rerun needs both: rerun_baseline and rerun_candidate.")
    baselines, first_rerun = load_runs(_paths("baseline", baseline)), load_runs(again)
    if isinstance(candidate, Candidate):
        monitor = resolve_monitor(progress)
        return sample_and_decide(candidate, baselines, rule, monitor, first_rerun)
    decision = decide(baselines, load_runs(_paths("candidate", candidate)), rule)
    if new_again:
        decision = decide_again(decision, (first_rerun, load_runs(new_again)))
    return decision


def _evaluation(results: Sequence[Mapping[str, Any]]) -> Evaluation:
    return Evaluation(tuple(TaskResult(found, Path(found["folder"])) for found in results))


def _paths(what: str, places: Any, *, needed: bool = True) -> list[Path]:
    """Return the places of runs; raises `UsageError` for what names none, if one is needed."""
    if places is None and not needed:
        return []
    if isinstance(places, str | Path):
        return [path(what, places)]
    found = paths(what, places)
    if needed and not found:
        raise UsageError(f"{what}: name at least one stored run.")
    return list(found)
