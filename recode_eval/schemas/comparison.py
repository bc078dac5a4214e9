"""The output of `recode-eval compare --json`, and what it shares with the gate's verdict."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from recode_eval.schemas.base import Count, Integer, JsonStruct, Positive, Share
from recode_eval.schemas.results import NewSamplesFields, VarianceShares

SCHEMA_VERSION = 2
_BOTH = "Mean over the problems that both runs have a value of, in the metric's unit."


class ComparedRun(JsonStruct, frozen=True, kw_only=True):
    """One side of a comparison, with the hashes that it was compared by."""

    source: Annotated[str, Meta(description="The results.json that was read.")]
    run: Annotated[str, Meta(description="Hash of the run's identity.")]
    model: str
    task: str
    data_hash: str
    prompt_hash: str
    scoring_hash: str
    n: Annotated[Positive, Meta(description="Samples per problem.")]
    seed: Integer
    unscored_share: Annotated[Share, Meta(description="Share of the samples without a verdict.")]
    recode_eval: Annotated[str, Meta(description="Version of the last command of the run.")]


Estimand = Annotated[
    Literal["problems like these"],
    Meta(
        description="What low, high, standard_error and p-values are about: other problems, in "
        "other clusters."
    ),
]
MaybeNewSamples = Annotated[
    NewSamplesFields | None,
    Meta(
        description="The interval if the same problems were asked again; null where the samples "
        "cannot tell (one per problem, or a mean of what is no count)."
    ),
]
Better = Annotated[Count, Meta(description="Problems with a higher pass rate, by chance or not.")]
Worse = Annotated[Count, Meta(description="Problems with a lower pass rate.")]


class DifferenceFields(JsonStruct, frozen=True, kw_only=True):
    """A paired difference in one metric."""

    metric: str
    higher_is_better: bool
    baseline: Annotated[float, Meta(description=_BOTH)]
    candidate: Annotated[float, Meta(description=_BOTH)]
    difference: Annotated[
        float,
        Meta(
            description="Candidate minus baseline, in the metric's unit (0.01 is one point), on "
            "the problems that both runs have a value of."
        ),
    ]
    headline: Annotated[
        Literal["better", "worse", "open"] | None,
        Meta(
            description="What the pair's own two-sided test at 5 % says of the candidate; null in "
            "files that were written before there were headlines."
        ),
    ] = None
    low: float | None
    high: float | None
    confidence: Annotated[Share, Meta(description="Of [low, high].")]
    method: Annotated[str, Meta(description="How the interval was made.")]
    standard_error: float | None
    p_value: Annotated[Share | None, Meta(description="Two-sided, by clusters.")]
    p_sign_flip: Annotated[Share | None, Meta(description="Two-sided, sign-flip test on clusters.")]
    minimum_detectable_difference: Annotated[
        float | None, Meta(description="At a two-sided 5 % with 80 % power.")
    ]
    problems: Positive
    clusters: Positive


class ComparedMetric(DifferenceFields, frozen=True, kw_only=True):
    """A paired difference, adjusted for all that was compared together."""

    p_holm: Annotated[
        Share | None,
        Meta(
            description="`p_value`, adjusted by Holm for all metrics of its family, over all tasks "
            "and candidates of this output."
        ),
    ]
    estimand: Estimand
    new_samples: MaybeNewSamples
    variance_shares: VarianceShares | None
    headline: Annotated[
        Literal["better", "worse", "open"],
        Meta(description="What the pair's own two-sided test at 5 % says of the candidate."),
    ]
    family: Annotated[
        Literal["primary", "exploratory"],
        Meta(description="Each task has one primary metric, declared before the runs."),
    ]
    sentence: Annotated[str, Meta(description="The finding in words; it has the models' names.")]


class ChangedProblems(JsonStruct, frozen=True, kw_only=True):
    """Problems that changed."""

    fixed: Annotated[
        list[str],
        Meta(
            description="Problems that the candidate certainly solves more often: Fisher's exact "
            "test, false discovery rate 5 %. Before version 2: those solved with more than half of "
            "the samples by the candidate alone."
        ),
    ]
    broken: Annotated[list[str], Meta(description="The other way round.")]


class ComparedCost(JsonStruct, frozen=True, kw_only=True):
    """What a solved sample costs, by the prices that the runs were given."""

    baseline: float | None
    candidate: float | None
    baseline_currency: str
    candidate_currency: str
    ratio: Annotated[
        float | None, Meta(description="Candidate / baseline; null in another currency.")
    ]


class ComparedPair(ChangedProblems, frozen=True, kw_only=True):
    """A candidate against the baseline on one task."""

    better: Better
    worse: Worse
    task: str
    baseline: ComparedRun
    candidate: ComparedRun
    cautions: Annotated[
        list[str],
        Meta(
            description="Why the difference may not be the models' alone: settings, limits or "
            "libraries that differ, samples that were not graded."
        ),
    ]
    power: Annotated[
        str | None,
        Meta(
            description="Which true difference in pass@1 such a comparison finds, in words; null "
            "where the runs do not show it."
        ),
    ]
    cost: Annotated[ComparedCost | None, Meta(description="Null where a run has no cost.")]
    metrics: Annotated[list[ComparedMetric], Meta(min_length=1)]


class ComparisonOutput(JsonStruct, frozen=True, kw_only=True):
    """Output of `recode-eval compare --json`: every candidate against the baseline, task by task.

    Additions keep schema_version; anything else raises it.
    """

    schema_version: Literal[2]
    confidence: Annotated[float, Meta(gt=0, lt=1, description="Of all intervals.")]
    comparisons: Annotated[list[ComparedPair], Meta(min_length=1)]
