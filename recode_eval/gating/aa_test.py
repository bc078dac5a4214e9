"""A/A self-check: how often the gate's rule would fire on this very model, unchanged.

Every problem's samples are split at random into two halves, which play baseline and candidate. The
truth is known: there is no difference. Whatever the rule calls a regression is a false alarm. Only
the counts matter, so a random half of n samples of which c pass is a hypergeometric draw.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.comparison.differences import change
from recode_eval.errors import UsageError
from recode_eval.gating.rule import Verdict, evidence, grade_evidence
from recode_eval.metrics import TaskKind, primary

if TYPE_CHECKING:
    from recode_eval.gating.policy import Policy
    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import ProblemResult

_SUSPICIOUS = 0.001
"""Below this p-value, a rate above alpha is not a coincidence."""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Result of applying the rule to one run against itself."""

    run: ResultsFile
    samples: int
    """Samples per problem and half: half of the run's."""
    margin: float
    splits: int
    verdicts: dict[Verdict, int]
    p_value: float
    """Chance of at least so many false alarms if their true rate is the policy's level."""

    @property
    def false_alarms(self) -> float:
        """Share of the splits with the verdict `regress`, 0 to 1."""
        return self.verdicts[Verdict.REGRESS] / self.splits

    @property
    def sound(self) -> bool:
        """Whether the false alarms are not clearly more than the policy's level."""
        return self.p_value >= _SUSPICIOUS


def self_check(
    run: ResultsFile, policy: Policy, *, splits: int = 1_000, seed: int = 0
) -> SelfCheck:
    """Split a run's samples `splits` times and apply the policy's rule for pass@1.

    Raises `UsageError` where there is nothing to split: no tests, fewer than two samples, or no
    margin for pass@1 in the policy.
    """
    import numpy as np
    from scipy.stats import binomtest

    metric = primary(TaskKind.TESTED)
    points = policy.metrics(run.task).get(metric)
    if points is None:
        raise UsageError(f"The policy has no margin for {metric} of {run.task}.")
    scores = [score for score in run.scores.values() if score.passed is not None and score.n > 1]
    if not scores:
        raise UsageError(
            f"{run.source}: no problem has two graded samples, so nothing can be split. Run it "
            "with --n 10."
        )
    rng = np.random.default_rng(seed)
    passed, n = (np.array(column) for column in zip(*map(_counts, scores), strict=True))
    half = n // 2
    first = rng.hypergeometric(passed, n - passed, half, size=(splits, len(scores)))
    # An odd sample is left out at random: the second half is drawn from what the first one left.
    second = rng.hypergeometric(passed - first, n - half - (passed - first), half)
    changes = (second - first) / half
    clusters = [score.cluster for score in scores]
    verdicts: Counter[Verdict] = Counter()
    for row in changes:
        gains, margin = row.tolist(), points / 100
        estimate = change(gains, clusters, bounds=(0, 1), confidence=policy.confidence)
        found = evidence(estimate, gains, clusters, margin, policy.level)
        verdicts[grade_evidence(found, margin, found.p_drop, policy.level)[0]] += 1
    alarms = binomtest(verdicts[Verdict.REGRESS], splits, policy.level, alternative="greater")
    return SelfCheck(
        run,
        int(half.max()),
        points / 100,
        splits,
        {verdict: verdicts[verdict] for verdict in Verdict if verdict is not Verdict.INVALID},
        float(alarms.pvalue),
    )


def _counts(score: ProblemResult) -> tuple[int, int]:
    return score.passed or 0, score.n
