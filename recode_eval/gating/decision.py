"""May a new checkpoint replace the old one? The rule, its verdicts and `verdict.json` (docs/ci.md).

A metric passes if its drop is certainly smaller than the margin, and regresses if a drop is certain
and may be as large as the margin; in between the samples cannot tell. "Certainly" is the clustered
interval of the paired difference, and over several metrics Holm's correction. A gate that compares
two numbers fires on half of all unchanged models; this one on at most `alpha` of them.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from recode_eval import __version__
from recode_eval.comparison.comparability import mismatches, remarks
from recode_eval.comparison.differences import (
    difference_json,
    holm,
    lower_tail_p,
    metric_difference,
    standard_error,
)
from recode_eval.comparison.pooling import pooled_runs
from recode_eval.comparison.problems import changes_json, problem_changes
from recode_eval.errors import ExitCode, UsageError
from recode_eval.run import provenance
from recode_eval.schemas.verdict import SCHEMA_VERSION
from recode_eval.stats.sequential import adjusted_p, nominal_levels, planned_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.comparison.differences import MetricDifference
    from recode_eval.comparison.problems import ProblemChanges
    from recode_eval.gating.policy import Policy
    from recode_eval.run.results_file import ResultsFile
    from recode_eval.stats.estimates import Estimate


class Verdict(StrEnum):
    """The gate's verdict on a metric, and on the whole comparison."""

    PASS = "pass"  # noqa: S105 - no password
    REGRESS = "regress"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.PASS: ExitCode.OK,
    Verdict.REGRESS: ExitCode.CHECK_FAILED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Verdict.INVALID: ExitCode.INVALID,
}
IMPROVED = "improved"
SMALL_REAL_DROP = "small real drop"
NO_INTERVAL = "no interval"
TOO_FEW_CLUSTERS = "too few clusters"
"""All clusters changed alike, but those that were not seen may differ by the margin."""
NO_METRIC = "the policy has no metric for this task and no `default`"
_WORST_FIRST = (Verdict.INVALID, Verdict.REGRESS, Verdict.INCONCLUSIVE, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One metric of one task."""

    task: str
    difference: MetricDifference
    margin: float
    """Tolerated drop in the metric's unit."""
    p_drop: float | None
    """One-sided p-value of a drop, by clusters."""
    p_drop_looks: float | None = None
    """The same, adjusted for the looks of a sequential gate; None where there was one look."""
    p_drop_holm: float | None = None
    """The same, adjusted for all checks."""
    verdict: Verdict = Verdict.INCONCLUSIVE
    note: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """One task of both sides."""

    baseline: ResultsFile
    candidate: ResultsFile
    changes: ProblemChanges
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """How many of a task's samples the gate needed."""

    task: str
    looks: tuple[int, ...]
    """Samples per problem at each look that was planned."""
    n: int
    """Samples per problem at the look that decided."""
    problems: int

    @property
    def samples(self) -> int:
        """Samples that were needed."""
        return self.n * self.problems

    @property
    def planned(self) -> int:
        """Samples that one look at everything takes."""
        return self.looks[-1] * self.problems


class Looks:
    """Observations of a sequential gate: every metric's information at each look, by task."""

    def __init__(self) -> None:
        self._at: dict[str, tuple[int, ...]] = {}
        self._information: dict[tuple[str, str], list[float | None]] = {}

    def observe(
        self, baseline: ResultsFile, candidate: ResultsFile, policy: Policy, looks: tuple[int, ...]
    ) -> None:
        """Note the next look at a task; `looks` are all that are planned for it."""
        task = baseline.task
        self._at[task] = looks
        for metric in policy.metrics(task):
            found = standard_error(baseline, candidate, metric)
            known = self._information.setdefault((task, metric), [])
            known.append(1 / found**2 if found else None)

    def level(self, task: str, metric: str, alpha: float) -> float:
        """Return the one-sided level of the latest look at a metric."""
        information = self._information[task, metric]
        return nominal_levels(planned_times(self._at[task]), information, alpha)[-1]

    def adjusted(self, task: str, metric: str, p_value: float) -> float:
        """Return a p-value of the latest look that accounts for the earlier ones."""
        return adjusted_p(p_value, planned_times(self._at[task]), self._information[task, metric])


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's verdict with everything it follows from."""

    verdict: Verdict
    checks: tuple[GateCheck, ...]
    invalid: tuple[str, ...]
    """Why the runs may not be compared."""
    compared: tuple[Compared, ...]
    policy: Policy
    look: int = 1
    """2: the samples of the rerun are part of it."""
    drawn: tuple[Drawn, ...] = ()
    """What a gate that sampled the candidate itself drew of each task."""

    @property
    def rerun_left(self) -> bool:
        """Whether the policy allows a rerun that could still decide."""
        return self.policy.rerun and self.look == 1 and self.verdict is Verdict.INCONCLUSIVE


def improvement(difference: MetricDifference) -> Estimate:
    """Return the difference with the sign turned so that positive is better."""
    found = difference.estimate
    if difference.higher_is_better or found.mean is None:
        return found
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    return replace(found, mean=-found.mean, low=low, high=high)


def grade(
    estimate: Estimate, margin: float, p_drop: float | None, alpha: float
) -> tuple[Verdict, str]:
    """Apply the rule to one metric's improvement; `p_drop` is adjusted for all metrics.

    pass: the interval lies above -margin. regress: it lies below 0, the drop survives the
    correction at level `alpha`, and the interval reaches -margin. Anything else is inconclusive.
    """
    low, high = estimate.low, estimate.high
    if low is None or high is None or p_drop is None:
        return Verdict.INCONCLUSIVE, NO_INTERVAL
    if low > -margin:
        return Verdict.PASS, IMPROVED if low > 0 else SMALL_REAL_DROP if high < 0 else ""
    if high < 0 and p_drop <= alpha:
        return Verdict.REGRESS, ""
    return Verdict.INCONCLUSIVE, TOO_FEW_CLUSTERS if estimate.reach is not None else ""


def clusters_needed(check: GateCheck) -> int | None:
    """Return how many clusters without a change would pass; None where something changed."""
    estimate = check.difference.estimate
    if estimate.mean or estimate.reach is None or estimate.high is None:
        return None
    if check.margin >= estimate.reach:
        return estimate.clusters
    # The interval of G clusters without a change is reach * (1 - level**(1/G)).
    log_level = estimate.clusters * math.log1p(-estimate.high / estimate.reach)
    return math.floor(log_level / math.log1p(-check.margin / estimate.reach)) + 1


def decide(
    baselines: Sequence[ResultsFile],
    candidates: Sequence[ResultsFile],
    policy: Policy,
    looks: Looks | None = None,
) -> Decision:
    """Compare the tasks of two sides and return the verdict; the worst of all metrics counts.

    With `looks` the candidates may have fewer samples than the baselines, and each look has the
    level that it may spend.
    """
    first = {run.task: run for run in baselines}
    second = {run.task: run for run in candidates}
    invalid, compared, checks = [], [], []
    for task in policy.tasks or tuple(first):
        if task not in first or task not in second:
            side = "the candidate" if task in first else "the baseline"
            invalid.append(f"{task}: {side} has no run of this task")
            continue
        a, b = first[task], second[task]
        reasons = [
            item.text
            for item in mismatches(a, b, policy.max_unscored)
            if looks is None or item.what != "n"
        ]
        if few := too_few_samples(min(a.n, b.n), policy):
            reasons.append(few)
        found, missing = _checks(a, b, policy, looks)
        reasons += missing
        invalid += [f"{task}: {reason}" for reason in reasons]
        notes = remarks(a, b)
        if looks and a.n != b.n:
            notes.append(
                f"the candidate has {b.n} samples per problem and the baseline {a.n}, so chance "
                "fixes or breaks more problems than with equal numbers"
            )
        compared.append(Compared(a, b, problem_changes(a, b), tuple(notes)))
        if not reasons:
            checks += found
    checks = _graded(checks, policy.level)
    verdicts = {check.verdict for check in checks} | ({Verdict.INVALID} if invalid else set())
    if not verdicts:
        invalid.append("no metric to compare")
        verdicts = {Verdict.INVALID}
    worst = next(verdict for verdict in _WORST_FIRST if verdict in verdicts)
    return Decision(worst, tuple(checks), tuple(invalid), tuple(compared), policy)


def too_few_samples(n: int, policy: Policy) -> str | None:
    """Return why the samples per problem do not suffice for any verdict, or None."""
    if n >= policy.min_samples:
        return None
    return (
        f"n = {n} is too few samples per problem for a gate (at least {policy.min_samples}; 10 are "
        "recommended)"
    )


def decide_again(
    first: Decision, reruns: tuple[Sequence[ResultsFile], Sequence[ResultsFile]]
) -> Decision:
    """Return the second look at an inconclusive decision; any other stands as it is.

    `reruns` are those of the baseline and of the candidate; their samples are added to those of the
    first runs. Raises `UsageError` if the policy did not declare a rerun, or if a rerun is missing
    or is none.
    """
    if not first.policy.rerun:
        raise UsageError(
            "The policy does not allow a rerun (`rerun: true`). Looking twice at the full level "
            "would double the false alarms."
        )
    if not first.rerun_left:
        return first
    baselines = _with_reruns([item.baseline for item in first.compared], reruns[0])
    candidates = _with_reruns([item.candidate for item in first.compared], reruns[1])
    return replace(decide(baselines, candidates, first.policy), look=2, drawn=first.drawn)


def _with_reruns(runs: Sequence[ResultsFile], reruns: Sequence[ResultsFile]) -> list[ResultsFile]:
    again = {run.task: run for run in reruns}
    for run in runs:
        if run.task not in again:
            raise UsageError(f"{run.source} (task {run.task}) has no rerun.")
    return [pooled_runs(run, again[run.task]) for run in runs]


def _checks(
    a: ResultsFile, b: ResultsFile, policy: Policy, looks: Looks | None
) -> tuple[list[GateCheck], list[str]]:
    """Return the metrics that decide, and what is wrong with those that cannot."""
    checks, missing = [], []
    margins = policy.metrics(a.task)
    if not margins:
        missing.append(NO_METRIC)
    for metric, points in margins.items():
        level = looks.level(a.task, metric, policy.level) if looks else policy.level
        found = metric_difference(a, b, metric, 1 - 2 * level)
        if found is None:
            missing.append(f"the runs do not both have {metric}")
            continue
        p_drop = lower_tail_p(improvement(found))
        p_looks = looks.adjusted(a.task, metric, p_drop) if looks and p_drop is not None else None
        checks.append(GateCheck(a.task, found, points / 100, p_drop, p_looks))
    return checks, missing


def _graded(checks: Sequence[GateCheck], alpha: float) -> list[GateCheck]:
    graded = []
    p_values = [c.p_drop if c.p_drop_looks is None else c.p_drop_looks for c in checks]
    for check, p_holm in zip(checks, holm(p_values), strict=True):
        verdict, note = grade(improvement(check.difference), check.margin, p_holm, alpha)
        graded.append(replace(check, p_drop_holm=p_holm, verdict=verdict, note=note))
    return graded


def verdict_json(decision: Decision) -> dict[str, Any]:
    """Return the content of verdict.json (schemas/verdict.schema.json)."""
    policy = decision.policy.to_json()
    digest = hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()
    return {
        "schema_version": SCHEMA_VERSION,
        "created": provenance.now(),
        "recode_eval": __version__,
        "git_commit": provenance.git_commit(),
        "verdict": str(decision.verdict),
        "exit_code": int(decision.verdict.exit_code),
        "look": decision.look,
        "rerun_left": decision.rerun_left,
        "sampling": _sampling_json(decision.drawn),
        "invalid": list(decision.invalid),
        "policy": policy,
        "policy_hash": digest,
        "checks": [_check_json(check) for check in decision.checks],
        "tasks": [_compared_json(item) for item in decision.compared],
    }


def _sampling_json(drawn: Sequence[Drawn]) -> dict[str, Any] | None:
    """Return how many samples were drawn and saved; None if the gate compared stored runs."""
    if not drawn:
        return None
    planned, samples = sum(x.planned for x in drawn), sum(x.samples for x in drawn)
    return {
        "samples": samples,
        "planned": planned,
        "saved": planned - samples,
        "tasks": [
            {"task": x.task, "looks": list(x.looks), "n": x.n, "samples": x.samples,
             "planned": x.planned}
            for x in drawn
        ],
    }  # fmt: skip


def _check_json(check: GateCheck) -> dict[str, Any]:
    return {
        "task": check.task,
        "verdict": str(check.verdict),
        "note": check.note,
        "margin": check.margin,
        **difference_json(check.difference),
        "p_drop": check.p_drop,
        "p_drop_looks": check.p_drop_looks,
        "p_drop_holm": check.p_drop_holm,
    }


def _compared_json(item: Compared) -> dict[str, Any]:
    return {
        "task": item.baseline.task,
        "baseline": run_json(item.baseline),
        "candidate": run_json(item.candidate),
        "remarks": list(item.remarks),
        **changes_json(item.changes),
    }


def run_json(run: ResultsFile) -> dict[str, Any]:
    """Identify a run, with the hashes used for the comparison."""
    results = run.results
    return {
        "source": run.source,
        "run": results.run,
        "model": run.model,
        "task": run.task,
        "data_hash": results.task.data_hash,
        "prompt_hash": results.prompt.hash,
        "scoring_hash": results.scoring["hash"],
        "n": run.n,
        "seed": results.sampling.seed,
        "unscored_share": run.unscored_share,
        "recode_eval": run.harness,
    }
