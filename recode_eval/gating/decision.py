"""May a new checkpoint replace the old one? The decision and its `verdict.json` (docs/ci.md).

`rule` decides one metric; here all metrics of all tasks come together, with Holm's correction of
the drops. A gate that compares two numbers fires on half of all unchanged models; this one on at
most `alpha` of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recode_eval import __version__
from recode_eval.comparison.comparability import mismatches, remarks
from recode_eval.comparison.differences import (
    difference_json,
    holm,
    metric_difference,
)
from recode_eval.comparison.headline import Headline, headline
from recode_eval.comparison.pairing import paired
from recode_eval.comparison.pooling import pooled_runs
from recode_eval.comparison.problems import changes_json, problem_changes
from recode_eval.errors import UsageError
from recode_eval.gating.plans import chance_notes
from recode_eval.gating.rule import (
    IMPROVED,
    SMALL_REAL_DROP,
    Evidence,
    Verdict,
    evidence,
    grade_evidence,
    improvement,
)
from recode_eval.gating.sentences import check_sentence
from recode_eval.run import provenance
from recode_eval.run.portable import portable
from recode_eval.schemas.verdict import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.comparison.differences import MetricDifference
    from recode_eval.comparison.problems import ProblemChanges
    from recode_eval.gating.looks import Looks
    from recode_eval.gating.policy import Policy
    from recode_eval.run.results_file import ResultsFile

NO_METRIC = "the policy has no metric for this task and no `default`"
_CLAIMS = {IMPROVED: Headline.BETTER, SMALL_REAL_DROP: Headline.WORSE}
"""Notes that say who is better, and the headline that each needs."""
_WORST_FIRST = (Verdict.INVALID, Verdict.REGRESS, Verdict.INCONCLUSIVE, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One metric of one task."""

    task: str
    difference: MetricDifference
    margin: float
    """Tolerated drop in the metric's unit."""
    evidence: Evidence
    p_drop_looks: float | None = None
    """The same, adjusted for the looks of a sequential gate; None where there was one look."""
    p_drop_holm: float | None = None
    """The same, adjusted for all checks."""
    verdict: Verdict = Verdict.INCONCLUSIVE
    note: str = ""

    @property
    def p_drop(self) -> float | None:
        """One-sided p-value of 'there is no drop', by clusters."""
        return self.evidence.p_drop


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

    def names(self, task: str) -> tuple[str, str]:
        """Return the models of a task that was compared, the baseline first; hostile text."""
        item = next(item for item in self.compared if item.baseline.task == task)
        return item.baseline.model, item.candidate.model

    @property
    def rerun_left(self) -> bool:
        """Whether the policy allows a rerun that could still decide."""
        return self.policy.rerun and self.look == 1 and self.verdict is Verdict.INCONCLUSIVE


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
        # One that the gate has sampled itself may well be the same; it was asked anew.
        same = portable(a.results.identity) == portable(b.results.identity)
        if looks is None and same and a.scores == b.scores:
            reasons.append(
                f"{b.source} is the baseline's own run, which proves nothing; gate a run of "
                "another model, or with another --seed"
            )
        found, missing = _checks(a, b, policy, looks)
        reasons += missing
        invalid += [f"{task}: {reason}" for reason in reasons]
        notes = remarks(a, b)
        if looks and a.n != b.n:
            notes.append(
                f"the candidate has {b.n} samples per problem and the baseline {a.n}, so chance "
                "fixes or breaks more problems than with equal numbers"
            )
        notes += chance_notes(a, b, policy)
        compared.append(Compared(a, b, problem_changes(a, b), tuple(notes)))
        if not reasons:
            checks += found
    checks = _graded(checks, policy)
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
    why = (
        "; a single answer, greedy or not, does not show how often its problem is solved, and most "
        "equally good models would not pass: sample with a temperature above 0"
    )
    return (
        f"n = {n} is too few samples per problem for a gate (at least {policy.min_samples}; 10 are "
        f"recommended{why if n == 1 else ''})"
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
        known = _evidence(a, b, found, points / 100, level)
        p_drop = known.p_drop
        p_looks = looks.adjusted(a.task, metric, p_drop) if looks and p_drop is not None else None
        checks.append(GateCheck(a.task, found, points / 100, known, p_looks))
    return checks, missing


def _evidence(
    a: ResultsFile, b: ResultsFile, found: MetricDifference, margin: float, level: float
) -> Evidence:
    pairs, bounds = paired(a, b, found.metric), a.metrics[found.metric].bounds
    sign = 1 if found.higher_is_better else -1
    gains = [sign * (new - old) for old, new in zip(pairs.baseline, pairs.candidate, strict=True)]
    return evidence(
        improvement(found), gains, pairs.clusters, margin, level, reach=bounds[1] - bounds[0]
    )


def _graded(checks: Sequence[GateCheck], policy: Policy) -> list[GateCheck]:
    graded = []
    p_values = [c.p_drop if c.p_drop_looks is None else c.p_drop_looks for c in checks]
    for check, p_holm in zip(checks, holm(p_values), strict=True):
        verdict, note = grade_evidence(check.evidence, check.margin, p_holm, policy.regress_level)
        # The one-sided level of a gate is milder than a headline's: the note must not claim more.
        if _CLAIMS.get(note) not in {None, headline(check.difference)}:
            note = ""
        if note == IMPROVED and policy.spending and policy.spending.promotes:
            p_rise = check.evidence.p_rise
            note = (
                note
                if p_rise is not None and p_rise * len(checks) <= policy.promotion_level
                else ""
            )
        graded.append(replace(check, p_drop_holm=p_holm, verdict=verdict, note=note))
    return graded


def verdict_json(decision: Decision) -> dict[str, Any]:
    """Return the content of verdict.json (schemas/verdict.schema.json)."""
    policy, spending = decision.policy.to_json(), decision.policy.spending
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
        "spending": spending.to_json(decision.policy.alpha) if spending else None,
        "sampling": _sampling_json(decision.drawn),
        "invalid": list(decision.invalid),
        "policy": policy,
        "policy_hash": digest,
        "checks": [_check_json(check, decision) for check in decision.checks],
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


def _check_json(check: GateCheck, decision: Decision) -> dict[str, Any]:
    names = decision.names(check.task)
    return {
        "task": check.task,
        "verdict": str(check.verdict),
        "note": check.note,
        "margin": check.margin,
        **difference_json(check.difference),
        "p_drop": check.p_drop,
        "p_drop_looks": check.p_drop_looks,
        "p_drop_holm": check.p_drop_holm,
        "p_margin": check.evidence.p_margin,
        "smallest_margin": check.evidence.smallest_margin,
        "sentence": check_sentence(check, *names, check.task, decision.policy.regress_level),
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
