"""From the records of a run to its numbers: the content of `results.json` (docs/results.md).

Every number is a mean over problems with an interval that respects the clusters. What was not
scored is counted and left out; it is never a zero.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from recode_eval.models.base import FinishReason
from recode_eval.run import provenance
from recode_eval.run.store import identity_hash
from recode_eval.scoring.pass_at_k import pass_at_k
from recode_eval.stats.estimates import cluster_mean
from recode_eval.tasks.base import Grouped, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_eval.run.evaluation import RunData
    from recode_eval.run.records import ScoreRecord
    from recode_eval.stats.estimates import Bounds

SCHEMA_VERSION = 1
DEFAULT_KS = (1, 5, 10)
CONFIDENCE = 0.95
SIMILARITIES = ("es", "em", "es_star", "em_star")
_SIMILARITY_RANGES = {
    "es": (0.0, 1.0),
    "em": (0.0, 1.0),
    "es_star": (-2.0, 2.0),
    "em_star": (-2.0, 2.0),
}
_SHOWN_UNSCORED = 200


@dataclass(frozen=True, slots=True)
class ProblemScore:
    """What the samples of one problem came to; `n` counts the scored ones."""

    problem: Problem
    n: int
    passed: int | None
    """Samples that pass; None where the task has no tests."""
    passed_groups: Mapping[str, int]
    """Samples that pass a group of the tests (`tasks.base.Grouped`)."""
    passed_without: int | None
    """Samples that pass without the update; None where the task has one condition only."""
    needed: int | None
    """Samples that pass, and only with the update (the numerator of UPass@k)."""
    test_rate: float | None
    no_code: int
    similarity: Mapping[str, float]
    measures: Mapping[str, float]
    """The task's own measures, as means over the samples that have a value."""
    faulty: str | None
    """Why the problem itself cannot be judged; such a problem has no score."""


def problem_scores(run: RunData) -> list[ProblemScore]:
    """Return the counts of every selected problem."""
    return [_problem_score(run, problem, _records(run, problem)) for problem in run.problems]


def _records(run: RunData, problem: Problem) -> list[ScoreRecord]:
    """Read one problem's scores; all problems' together may not fit into memory."""
    keys = ((problem.id, sample) for sample in range(run.n))
    return [run.scores[key] for key in keys if key in run.scores]


def _problem_score(run: RunData, problem: Problem, records: list[ScoreRecord]) -> ProblemScore:
    faulty = next((r.setup_error for r in records if r.setup_error), None)
    if faulty is not None:
        records = []
    first, second, *_ = *run.task.conditions, None, None
    passed = None if first is None else [r.passed(first) for r in records]
    without = None if second is None else [r.passed(second) for r in records]
    groups = run.task.groups(problem) if isinstance(run.task, Grouped) else {}
    count = len(records)
    return ProblemScore(
        problem=problem,
        n=count,
        passed=None if passed is None else sum(passed),
        passed_groups={
            name: sum(r.passed_part(first, prefix) for r in records)
            for name, prefix in groups.items()
            if first is not None
        },
        passed_without=None if without is None else sum(without),
        needed=(
            None
            if passed is None or without is None
            else sum(a and not b for a, b in zip(passed, without, strict=True))
        ),
        test_rate=(sum(r.test_rate(first) for r in records) / count if count and first else None),
        no_code=sum(r.code is None for r in records),
        similarity=(
            {name: sum(r.similarity[name] for r in records) / count for name in SIMILARITIES}
            if count
            else {}
        ),
        measures=_mean_measures(records),
        faulty=faulty,
    )


def _mean_measures(records: Sequence[ScoreRecord]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        for name, value in record.measures.items():
            values[name].append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


@dataclass(frozen=True, slots=True)
class MetricValues:
    """A metric's value for every problem, in the order of the scores; None where it has none."""

    values: tuple[float | None, ...]
    bounds: Bounds


def metrics(scores: Sequence[ProblemScore], ks: Iterable[int]) -> dict[str, dict[str, Any] | None]:
    """Return every metric's estimate; None where it has no value (for example n < k)."""
    clusters = [score.problem.cluster for score in scores]
    return {
        name: _estimate(metric.values, clusters, metric.bounds)
        for name, metric in metric_values(scores, ks).items()
    }


def metric_values(scores: Sequence[ProblemScore], ks: Iterable[int]) -> dict[str, MetricValues]:
    """Return what every metric is the mean of; all figures and comparisons start here."""
    table: dict[str, MetricValues] = {}

    def add(
        name: str, value: Callable[[ProblemScore], float | None], bounds: Bounds = (0.0, 1.0)
    ) -> None:
        table[name] = MetricValues(tuple(value(score) for score in scores), bounds)

    ks = sorted(set(ks))
    tested = [score for score in scores if score.passed is not None]
    if tested:
        for k in ks:
            add(f"pass@{k}", lambda s, k=k: pass_at_k(s.n, s.passed or 0, k))  # type: ignore[misc]
    for group in sorted({name for score in tested for name in score.passed_groups}):
        for k in ks:
            add(f"{group}_pass@{k}", partial(_group_pass_at_k, group, k))
    if any(score.needed is not None for score in scores):
        for k in ks:
            add(f"upass@{k}", lambda s, k=k: pass_at_k(s.n, s.needed or 0, k))  # type: ignore[misc]
        add("pass_without_update", lambda s: (s.passed_without or 0) / s.n if s.n else None)
    if tested:
        add("test_rate", lambda s: s.test_rate)
    add("no_code", lambda s: s.no_code / s.n if s.n else None)
    for name in SIMILARITIES:
        add(name, lambda s, name=name: s.similarity.get(name), _SIMILARITY_RANGES[name])  # type: ignore[misc]
    for name in sorted({name for score in scores for name in score.measures}):
        add(name, lambda s, name=name: s.measures.get(name))  # type: ignore[misc]
    return table


def _group_pass_at_k(group: str, k: int, score: ProblemScore) -> float | None:
    passed = score.passed_groups.get(group)
    return None if passed is None else pass_at_k(score.n, passed, k)


def _estimate(
    values: Sequence[float | None], clusters: Sequence[str], bounds: Bounds
) -> dict[str, Any] | None:
    if all(value is None for value in values):
        return None
    estimate = cluster_mean(values, clusters, confidence=CONFIDENCE, bounds=bounds)
    return {
        "value": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "standard_error": estimate.standard_error,
        "problems": estimate.n,
        "clusters": estimate.clusters,
        "method": str(estimate.method),
    }


def compute_results(run: RunData, ks: Iterable[int] = DEFAULT_KS) -> dict[str, Any]:
    """Return the content of results.json."""
    scores, totals = problem_scores(run), _totals(run)
    ks = tuple(ks)
    manifest = run.manifest
    return {
        "schema_version": SCHEMA_VERSION,
        "created": provenance.now(),
        "run": identity_hash(manifest["identity"]),
        "identity": manifest["identity"],
        "model": manifest["model"],
        "task": manifest["task"],
        "prompt": manifest["prompt"],
        "sampling": manifest["sampling"],
        "selection": manifest["selection"],
        "scoring": manifest["scoring"],
        "sandbox": manifest["sandbox"],
        "counts": _counts(run, scores, totals),
        "confidence": CONFIDENCE,
        "metrics": metrics(scores, ks),
        "breakdown": {tag: _breakdown(scores, tag, ks) for tag in run.task.spec.tags},
        "usage": _usage(totals),
        "problems": [_problem_json(score) for score in scores],
        "unscored": [
            {"problem_id": u.problem_id, "sample": u.sample, "reason": u.reason}
            for u in run.unscored[:_SHOWN_UNSCORED]
        ],
        "invocations": manifest["invocations"],
    }


@dataclass(slots=True)
class _Totals:
    """Sums over all samples, from one reading of each record."""

    reasons: Counter[str] = field(default_factory=Counter)
    suspicious: int = 0
    usage: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float | None) -> None:
        if value is not None:
            self.usage[name] = self.usage.get(name, 0) + value


def _totals(run: RunData) -> _Totals:
    totals = _Totals()
    for completion in run.completions.values():
        totals.reasons[completion.finish_reason] += 1
        totals.add("prompt_tokens", completion.prompt_tokens)
        totals.add("completion_tokens", completion.completion_tokens)
        totals.add("generation_seconds", completion.seconds)
    for score in run.scores.values():
        totals.suspicious += bool(score.flags)
        for condition in score.conditions.values():
            totals.add("execution_cpu_seconds", condition.get("cpu_s"))
    return totals


def _counts(run: RunData, scores: Sequence[ProblemScore], totals: _Totals) -> dict[str, int]:
    samples = len(run.problems) * run.n
    return {
        "problems": len(run.problems),
        "clusters": len({p.cluster for p in run.problems}),
        "samples": samples,
        "generated": len(run.completions),
        "scored": sum(score.n for score in scores),
        "unscored": samples - len(run.scores),
        "faulty_problems": sum(score.faulty is not None for score in scores),
        "no_code": sum(score.no_code for score in scores),
        "cut_off": totals.reasons[FinishReason.LENGTH],
        "prompt_too_long": totals.reasons[FinishReason.PROMPT_TOO_LONG],
        "suspicious": totals.suspicious,
    }


def _breakdown(
    scores: Sequence[ProblemScore], tag: str, ks: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[ProblemScore]] = defaultdict(list)
    for score in scores:
        groups[score.problem.tags.get(tag, "")].append(score)
    return {
        value: {"problems": len(members), "metrics": metrics(members, ks)}
        for value, members in sorted(groups.items())
    }


def _usage(totals: _Totals) -> dict[str, Any]:
    return {
        name: round(totals.usage[name], 3) if name in totals.usage else None
        for name in (
            "prompt_tokens",
            "completion_tokens",
            "generation_seconds",
            "execution_cpu_seconds",
        )
    }


def _problem_json(score: ProblemScore) -> dict[str, Any]:
    return {
        "id": score.problem.id,
        "cluster": score.problem.cluster,
        "tags": dict(score.problem.tags),
        "n": score.n,
        "passed": score.passed,
        "passed_groups": dict(score.passed_groups),
        "passed_without_update": score.passed_without,
        "needed_update": score.needed,
        "test_rate": score.test_rate,
        "no_code": score.no_code,
        **{name: score.similarity.get(name) for name in SIMILARITIES},
        "measures": dict(score.measures),
        "faulty": score.faulty,
    }


def stored_score(problem: Mapping[str, Any]) -> ProblemScore:
    """Read back an entry of `problems`; the problem has no prompt and no answers.

    Raises `KeyError`, `TypeError` or `ValueError` where it is not what the schema says.
    """
    similarity = {name: problem[name] for name in SIMILARITIES if problem[name] is not None}
    score = ProblemScore(
        problem=Problem(
            id=problem["id"],
            cluster=problem["cluster"],
            tags=problem["tags"],
            context={},
            answers={},
            payload=None,
        ),
        n=problem["n"],
        passed=problem["passed"],
        passed_groups=dict(problem.get("passed_groups", {})),
        passed_without=problem["passed_without_update"],
        needed=problem["needed_update"],
        test_rate=problem["test_rate"],
        no_code=problem["no_code"],
        similarity=similarity,
        measures=dict(problem.get("measures", {})),
        faulty=problem["faulty"],
    )
    _check(score)
    return score


def _check(score: ProblemScore) -> None:
    """Refuse what no run writes: a file may come from anybody."""
    for text in (score.problem.id, score.problem.cluster, *score.similarity, *score.measures):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not a name")
    counts = (score.passed, *score.passed_groups.values(), score.passed_without, score.needed)
    if type(score.n) is not int or score.n < 0:
        raise ValueError(f"n is {score.n!r}")
    for count in (*counts, score.no_code):
        if count is not None and (type(count) is not int or not 0 <= count <= score.n):
            raise ValueError(f"{count!r} of {score.n} samples")
    for value in (score.test_rate, *score.similarity.values(), *score.measures.values()):
        if value is not None and type(value) not in {int, float}:
            raise TypeError(f"{value!r} is not a number")
