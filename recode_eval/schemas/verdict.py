"""The content of verdict.json: may a candidate replace the baseline? (docs/ci.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from recode_eval.schemas.base import Count, Hash, JsonStruct, Positive, Share
from recode_eval.schemas.comparison import (
    Better,
    ChangedProblems,
    ComparedRun,
    DifferenceFields,
    Estimand,
    MaybeNewSamples,
    Worse,
)
from recode_eval.schemas.results import VarianceShares  # noqa: TC001 - msgspec reads it

SCHEMA_VERSION = 2
AboveZero = Annotated[float, Meta(gt=0)]


class PolicyContent(JsonStruct, frozen=True, kw_only=True):
    """The policy that was applied, with every default written out.

    A policy file has the same keys, and each may be left out but `version` and `margins`.
    """

    version: Literal[1]
    alpha: Annotated[
        float, Meta(gt=0, lt=0.5, description="One-sided level of the whole procedure.")
    ]
    rerun: Annotated[bool, Meta(description="Two looks, each at half of alpha.")]
    sequential: Annotated[
        bool,
        Meta(
            description="A candidate that the gate samples itself is looked at before all samples "
            "are drawn."
        ),
    ] = True
    looks: Annotated[
        list[Positive] | None,
        Meta(
            description="Samples per problem at each look; null: at every fifth of the baseline's."
        ),
    ] = None
    max_unscored: Annotated[
        float, Meta(ge=0, lt=1, description="Share of samples without a verdict.")
    ]
    min_samples: Annotated[int, Meta(ge=2, description="Samples per problem.")]
    tasks: Annotated[list[str] | None, Meta(description="Null: all tasks of the baseline.")]
    margins: Annotated[
        dict[str, dict[str, AboveZero]],
        Meta(description="task (or `default`) -> metric -> tolerated drop in points"),
    ]


class CheckedMetric(DifferenceFields, frozen=True, kw_only=True):
    """One metric of one task."""

    estimand: Estimand = "problems like these"
    new_samples: MaybeNewSamples = None
    variance_shares: VarianceShares | None = None
    task: str
    verdict: Literal["pass", "regress", "inconclusive"]
    note: Literal[
        "", "improved", "small real drop", "no interval", "too few clusters", "sparse changes"
    ]
    margin: Annotated[AboveZero, Meta(description="Tolerated drop, in the metric's unit.")]
    sentence: Annotated[
        str, Meta(description="The finding in words; it has the models' names.")
    ] = ""
    p_drop: Annotated[Share | None, Meta(description="One-sided: there is no drop.")]
    p_drop_looks: Annotated[
        Share | None,
        Meta(
            description="Adjusted for the looks of a sequential gate; null where there was one "
            "look."
        ),
    ] = None
    p_drop_holm: Annotated[
        Share | None, Meta(description="The same, adjusted by Holm for all checks.")
    ]
    p_margin: Annotated[
        Share | None,
        Meta(
            description="One-sided, exact: it fell by the margin or more. Null where the interval "
            "alone decides, because many clusters carry the change."
        ),
    ] = None
    smallest_margin: Annotated[
        AboveZero | None,
        Meta(
            description="The smallest margin, in the metric's unit, that so many clusters can "
            "decide: 1 - level^(1/clusters) of its range."
        ),
    ] = None


class GatedTask(ChangedProblems, frozen=True, kw_only=True):
    """Both sides of one task."""

    better: Better = 0
    worse: Worse = 0
    task: str
    baseline: ComparedRun
    candidate: ComparedRun
    remarks: Annotated[
        list[str],
        Meta(description="What does not forbid the comparison, but may explain a difference."),
    ]


class DrawnTask(JsonStruct, frozen=True, kw_only=True):
    """What the gate drew of one task."""

    task: str
    looks: Annotated[list[Positive], Meta(description="Samples per problem at each planned look.")]
    n: Annotated[Count, Meta(description="Samples per problem at the look that decided.")]
    samples: Count
    planned: Count


class DrawnSamples(JsonStruct, frozen=True, kw_only=True):
    """What the gate drew of the candidate; null where it compared stored runs."""

    samples: Annotated[
        Count, Meta(description="Samples that the verdict needed, without the rerun.")
    ]
    planned: Annotated[Count, Meta(description="Samples that one look at everything takes.")]
    saved: Count
    tasks: list[DrawnTask]


class SpentLevel(JsonStruct, frozen=True, kw_only=True):
    """The place of a verdict among those of its training (`watch`); null for a single gate."""

    number: Annotated[Positive, Meta(description="1 for the training's first verdict.")]
    alpha: Annotated[
        float, Meta(gt=0, lt=0.5, description="Of the whole training: some false `regress`.")
    ]
    level: Annotated[float, Meta(gt=0, lt=0.5, description="One-sided, of this `regress`.")]
    promotion_level: Annotated[
        float | None,
        Meta(
            description="One-sided, of the note `improved`; null where it makes no checkpoint the "
            "reference."
        ),
    ]
    spent: Annotated[float, Meta(gt=0, lt=0.5, description="Of alpha, this verdict included.")]


class VerdictFile(JsonStruct, frozen=True, kw_only=True):
    """Content of verdict.json: may a candidate replace the baseline?

    Additions keep schema_version; anything else raises it.
    """  # noqa: D400

    schema_version: Annotated[
        Literal[1, 2],
        Meta(
            description="1 had p_mcnemar, and other rules for what is fixed or broken; no better, "
            "worse, estimand, new_samples or variance_shares."
        ),
    ]
    created: Annotated[str, Meta(description="UTC, ISO 8601.")]
    recode_eval: str
    git_commit: str | None
    verdict: Annotated[
        Literal["pass", "regress", "inconclusive", "invalid"],
        Meta(description="The worst of all checks; invalid if `invalid` is not empty."),
    ]
    exit_code: Literal[0, 1, 3, 4]
    look: Annotated[Literal[1, 2], Meta(description="2: the samples of the rerun are part of it.")]
    rerun_left: Annotated[
        bool, Meta(description="The policy allows a rerun, and it would decide something.")
    ]
    spending: SpentLevel | None = None
    sampling: DrawnSamples | None = None
    invalid: Annotated[list[str], Meta(description="Why the runs may not be compared.")]
    policy: PolicyContent
    policy_hash: Hash
    checks: list[CheckedMetric]
    tasks: list[GatedTask]
