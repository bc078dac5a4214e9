"""Compute the content of `results.json` from a run's records (docs/results.md).

Every number is a mean over problems with an interval that respects the clusters. What was not
scored is counted and left out; it is never a zero.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval.costs.of_run import Pricing, RunCost
from recode_eval.metrics import DEFAULT_KS, metric, reported_metrics, similarity_names
from recode_eval.models.base import FinishReason
from recode_eval.run import provenance
from recode_eval.run.store import identity_hash
from recode_eval.schemas.results import (
    MOST_REASONS_LISTED,
    MOST_UNSCORED_LISTED,
    SCHEMA_VERSION,
    SIMILARITY_FIELDS,
    ProblemResult,
    StoredEstimate,
)
from recode_eval.stats.estimates import IntervalMethod, cluster_mean
from recode_eval.stats.variance import NEW_SAMPLES, new_samples, shares
from recode_eval.tasks.base import Grouped, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.conversations.journal import Answered
    from recode_eval.metrics import Metric
    from recode_eval.run.evaluation import RunData
    from recode_eval.run.records import ScoreRecord
    from recode_eval.schemas.results import Results
    from recode_eval.stats.estimates import Bounds

CONFIDENCE = 0.95
_LONGEST_REASON = 300
UNSAID = "the log does not say: "
"""What the caution on another harness's log begins with that names settings it does not tell."""
KNOWLEDGE = "knowledge_cutoff"
"""The tag that a run with a cut-off adds to its problems."""


def problem_results(run: RunData) -> list[ProblemResult]:
    """Return the counts of every selected problem."""
    return [_problem_result(run, problem, _records(run, problem)) for problem in run.problems]


def _records(run: RunData, problem: Problem) -> list[ScoreRecord]:
    """Read one problem's scores; all problems' together may not fit into memory."""
    keys = ((problem.id, sample) for sample in range(run.n))
    return [run.scores[key] for key in keys if key in run.scores]


def _problem_result(run: RunData, problem: Problem, records: list[ScoreRecord]) -> ProblemResult:
    faulty = next((r.setup_error for r in records if r.setup_error), None)
    if faulty is not None:
        records = []
    first, second, *_ = *run.task.conditions, None, None
    passed = None if first is None else [r.passed(first) for r in records]
    without = None if second is None else [r.passed(second) for r in records]
    groups = run.task.groups(problem) if isinstance(run.task, Grouped) else {}
    by_turn = {} if first is None else _passed_by_turn(run, records, first)
    cutoff = run.manifest["settings"].get("cutoff")
    known = {} if cutoff is None else {KNOWLEDGE: _knowledge(problem, cutoff)}
    count = len(records)
    similarity = _mean_similarity(records)
    return ProblemResult(
        id=problem.id,
        cluster=problem.cluster,
        tags={**problem.tags, **known},
        n=count,
        passed=None if passed is None else sum(passed),
        passed_groups={
            name: sum(r.passed_part(first, prefix) for r in records)
            for name, prefix in groups.items()
            if first is not None
        }
        | by_turn,
        passed_without_update=None if without is None else sum(without),
        needed_update=(
            None
            if passed is None or without is None
            else sum(a and not b for a, b in zip(passed, without, strict=True))
        ),
        test_rate=(sum(r.test_rate(first) for r in records) / count if count and first else None),
        no_code=sum(r.code is None for r in records),
        **{name: similarity.pop(name, None) for name in SIMILARITY_FIELDS},
        similarity=similarity,
        measures=_mean_measures(records),
        faulty=faulty,
    )


def _passed_by_turn(run: RunData, records: Sequence[ScoreRecord], first: str) -> dict[str, int]:
    """Return `turn1`, `turn2`, ...: the samples that pass and took at most so many turns."""
    most = (run.manifest["identity"].get("conversation") or {}).get("turns", 1)
    if most == 1:
        return {}
    turns = [run.completions[record.key].turns for record in records if record.passed(first)]
    return {f"turn{t}": sum(taken <= t for taken in turns) for t in range(1, most + 1)}


def _mean_similarity(records: Sequence[ScoreRecord]) -> dict[str, float]:
    """Return the means of the metrics that all records have: an older one may lack the newest."""
    return {
        name: sum(record.similarity[name] for record in records) / len(records)
        for name in similarity_names()
        if records and all(name in record.similarity for record in records)
    }


def _mean_measures(records: Sequence[ScoreRecord]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        for name, value in record.measures.items():
            values[name].append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


@dataclass(frozen=True, slots=True)
class MetricValues:
    """A metric's value for every problem, in the order of the scores; None without a value."""

    values: tuple[float | None, ...]
    bounds: Bounds


def unsaid(cautions: Iterable[str]) -> frozenset[str]:
    """Return the settings of which another harness's log tells nothing: numbers stand for them."""
    told = (text.removeprefix(UNSAID) for text in cautions if text.startswith(UNSAID))
    return frozenset(name for names in told for name in names.split(", "))


def estimates(
    problems: Sequence[ProblemResult], ks: Iterable[int], *, split: bool = False
) -> dict[str, dict[str, Any] | None]:
    """Return every metric's estimate; None where it has no value (for example n < k).

    With `split` it also says what the samples alone move, and where the variance comes from.
    """
    clusters = [problem.cluster for problem in problems]
    found = {
        name: _estimate(found.values, clusters, found.bounds)
        for name, found in metric_values(problems, ks).items()
    }
    if split:
        for name, estimate in found.items():
            if estimate is not None:
                estimate.update(_split_variance(problems, metric(name), estimate))
    return found


def _split_variance(
    problems: Sequence[ProblemResult], known: Metric, estimate: dict[str, Any]
) -> dict[str, Any]:
    """Return what a stored estimate has of its samples; {} where they cannot tell."""
    valued = [
        (value, problem) for problem in problems if (value := known.value(problem)) is not None
    ]
    variances = [known.sampling_variance(problem) for _, problem in valued]
    sure = [variance for variance in variances if variance is not None]
    if len(sure) < len(variances):
        return {}
    samples = sum(problem.n for _, problem in valued)
    again = new_samples(estimate["value"], sure, samples, CONFIDENCE, known.bounds)
    parts = shares(
        [value for value, _ in valued],
        [problem.cluster for _, problem in valued],
        sure,
        estimate["standard_error"],
    )
    return {
        "new_samples": {"estimand": NEW_SAMPLES, **asdict(again)},
        "variance_shares": None if parts is None else asdict(parts),
    }


def metric_values(problems: Sequence[ProblemResult], ks: Iterable[int]) -> dict[str, MetricValues]:
    """Return what every metric is the mean of; all figures and comparisons start here."""
    return {
        name: MetricValues(tuple(map(found.value, problems)), found.bounds)
        for name, found in reported_metrics(problems, ks).items()
    }


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


def with_current_intervals(results: Results) -> Results:
    """Return results of an older version with the intervals that its values have today.

    What stands beside each other must follow one rule. The values themselves stay as they are
    stated, and so do results without an interval of an older rule.
    """
    if all(item is None or item.method in set(IntervalMethod) for item in results.metrics.values()):
        return results
    ks = {k for name in results.metrics if (k := metric(name).k) is not None}

    def renewed(
        stated: Mapping[str, StoredEstimate | None], problems: Sequence[ProblemResult]
    ) -> dict[str, StoredEstimate | None]:
        found = estimates(problems, ks | {1}, split=True)
        parts = ("low", "high", "standard_error", "method", "new_samples", "variance_shares")
        return {
            name: item
            if item is None or (computed := found.get(name)) is None
            else msgspec.convert(
                {**msgspec.to_builtins(item), **{x: computed.get(x) for x in parts}},
                StoredEstimate,
            )
            for name, item in stated.items()
        }

    return msgspec.structs.replace(
        results,
        metrics=renewed(results.metrics, results.problems),
        breakdown={
            tag: {
                value: msgspec.structs.replace(
                    group,
                    metrics=renewed(
                        group.metrics, [p for p in results.problems if p.tags.get(tag, "") == value]
                    ),
                )
                for value, group in groups.items()
            }
            for tag, groups in results.breakdown.items()
        },
    )


def compute_results(run: RunData, ks: Iterable[int] = DEFAULT_KS) -> dict[str, Any]:
    """Return the content of results.json."""
    problems = problem_results(run)
    totals = _totals(run, {problem.id for problem in problems if problem.faulty is not None})
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
        "counts": _counts(run, problems, totals),
        "confidence": CONFIDENCE,
        "metrics": estimates(problems, ks, split=True),
        "breakdown": {tag: _breakdown(problems, tag, ks) for tag in _tags(run)},
        "usage": _usage(totals, problems),
        "problems": [problem.to_json() for problem in problems],
        "unscored": [
            {
                "problem_id": u.problem_id,
                "sample": u.sample,
                "reason": u.reason,
                "flags": list(u.flags),
            }
            for u in run.unscored[:MOST_UNSCORED_LISTED]
        ],
        "split": _split(totals) if manifest["scoring"]["isolation"] == "split" else None,
        **_conversations(run),
        "invocations": manifest["invocations"],
    }


def _conversations(run: RunData) -> dict[str, Any]:
    """Return what results say of conversations; nothing where there are none."""
    from recode_eval.conversations.journal import FILE
    from recode_eval.run.conversing import turn_figures

    own = run.manifest["identity"].get("conversation")
    if own is None:
        return {}
    return turn_figures(run.folder / FILE, run.completions, tools="tools" in own)


def _unfinished(run: RunData) -> Iterable[Answered]:
    """Return the answers of conversations that are not finished: they are paid for as well."""
    from recode_eval.conversations.journal import FILE, Answered, read_journal

    if run.manifest["identity"].get("conversation") is None:
        return ()
    known = {problem.id for problem in run.problems}
    found = {
        (line.key, line.step): line
        for line in read_journal(run.folder / FILE)
        if isinstance(line, Answered)
        and line.key not in run.completions
        and line.problem_id in known
        and line.sample < run.n
    }
    return found.values()


@dataclass(slots=True)
class _Totals:
    """Sums over all samples, from one reading of each record."""

    reasons: Counter[str] = field(default_factory=Counter)
    suspicious: int = 0
    split: int = 0
    unsplit: Counter[str] = field(default_factory=Counter)
    """Samples by the reason for which they ran in one process with their tests."""
    usage: dict[str, float] = field(default_factory=dict)
    cost: RunCost = field(default_factory=lambda: RunCost(None))

    def add(self, name: str, value: float | None) -> None:
        if value is not None:
            self.usage[name] = self.usage.get(name, 0) + value


def _totals(run: RunData, faulty: set[str]) -> _Totals:
    pricing = run.manifest.get("pricing")
    totals = _Totals(cost=RunCost(None if pricing is None else Pricing.from_json(pricing)))
    for completion in run.completions.values():
        totals.reasons[completion.finish_reason] += 1
        totals.add("prompt_tokens", completion.prompt_tokens)
        totals.add("completion_tokens", completion.completion_tokens)
        totals.add("generation_seconds", completion.seconds)
        totals.add("reasoning_tokens", completion.reasoning_tokens)
        totals.add("cached_tokens", completion.cached_tokens)
        scored = completion.key in run.scores and completion.problem_id not in faulty
        totals.cost.add(completion, scored=scored)
    for answer in _unfinished(run):
        totals.add("prompt_tokens", answer.prompt_tokens)
        totals.add("completion_tokens", answer.completion_tokens)
        totals.add("generation_seconds", answer.seconds)
        totals.add("reasoning_tokens", answer.reasoning_tokens)
        totals.add("cached_tokens", answer.cached_tokens)
        totals.cost.add(answer, scored=False, sample=False)
    for score in run.scores.values():
        totals.suspicious += bool(score.flags)
        for condition in score.conditions.values():
            totals.add("execution_cpu_seconds", condition.get("cpu_s"))
        if score.conditions and score.problem_id not in faulty:
            reasons = [c["unsplit"] for c in score.conditions.values() if c.get("unsplit")]
            totals.split += not reasons
            totals.unsplit.update(str(reason)[:_LONGEST_REASON] for reason in reasons[:1])
    totals.suspicious += sum(bool(item.flags) for item in run.unscored)
    return totals


def _split(totals: _Totals) -> dict[str, Any]:
    return {
        "split": totals.split,
        "unsplit": totals.unsplit.total(),
        "reasons": [
            {"reason": reason, "samples": samples}
            for reason, samples in totals.unsplit.most_common(MOST_REASONS_LISTED)
        ],
    }


def _counts(run: RunData, found: Sequence[ProblemResult], totals: _Totals) -> dict[str, int]:
    samples = len(run.problems) * run.n
    return {
        "problems": len(run.problems),
        "clusters": len({p.cluster for p in run.problems}),
        "samples": samples,
        "generated": len(run.completions),
        "scored": sum(problem.n for problem in found),
        "unscored": samples - len(run.scores),
        "faulty_problems": sum(problem.faulty is not None for problem in found),
        "no_code": sum(problem.no_code for problem in found),
        "cut_off": totals.reasons[FinishReason.LENGTH],
        "prompt_too_long": totals.reasons[FinishReason.PROMPT_TOO_LONG],
        "suspicious": totals.suspicious,
    }


def _tags(run: RunData) -> tuple[str, ...]:
    """Return the tags that results are broken down by."""
    asked = (KNOWLEDGE,) if run.manifest["settings"].get("cutoff") is not None else ()
    return (*run.task.spec.tags, *asked)


def _knowledge(problem: Problem, cutoff: str) -> str:
    """Say whether a problem's change was made before or after a model's knowledge ends (ISO).

    `around`: between two days of which one is before and one after; `unknown`: it has no days.
    """
    day = date.fromisoformat(cutoff)
    if problem.changed_on is not None and problem.changed_on <= day:
        return "before"
    if problem.changed_after is not None and problem.changed_after > day:
        return "after"
    return "unknown" if problem.changed_on is None else "around"


def _breakdown(
    problems: Sequence[ProblemResult], tag: str, ks: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[ProblemResult]] = defaultdict(list)
    for problem in problems:
        groups[problem.tags.get(tag, "")].append(problem)
    return {
        value: {"problems": len(members), "metrics": estimates(members, ks)}
        for value, members in sorted(groups.items())
    }


def _usage(totals: _Totals, problems: Sequence[ProblemResult]) -> dict[str, Any]:
    usage = {
        name: round(totals.usage[name], 3) if name in totals.usage else None
        for name in (
            "prompt_tokens",
            "completion_tokens",
            "generation_seconds",
            "execution_cpu_seconds",
            "reasoning_tokens",
            "cached_tokens",
        )
    }
    return {
        **usage,
        "cost": totals.cost.to_json(sum(problem.passed or 0 for problem in problems)),
        "cost_unknown": totals.cost.unknown,
    }
