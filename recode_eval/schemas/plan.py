"""What `recode-eval plan --json` prints: what a gate can decide, before anything is drawn."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from recode_eval.schemas.base import Count, JsonStruct, Positive, Share

SCHEMA_VERSION = 1


class PlannedSamples(JsonStruct, frozen=True, kw_only=True):
    """What so many samples per problem of both sides give."""

    n: Annotated[Positive | None, Meta(description="Null: any number, however large.")]
    standard_error: Annotated[float, Meta(ge=0, description="Of the mean difference.")]
    pass_if_equal: Annotated[Share, Meta(description="Chance that an equally good model passes.")]
    regress_if_worse: Annotated[
        Share, Meta(description="Chance that a true drop of `loss` is called a regression.")
    ]
    margin_for_target: Annotated[
        float, Meta(gt=0, description="Smallest margin with which an equally good model passes.")
    ]
    problems_for_target: Annotated[
        Count | None, Meta(description="Fewest such problems at this margin; null: out of reach.")
    ]


class PlannedSeeds(JsonStruct, frozen=True, kw_only=True):
    """How many trainings a comparison of two methods needs."""

    seed_sd: Annotated[float, Meta(gt=0, description="Between trainings of one method.")]
    n: Positive
    seeds: Annotated[
        Positive | None,
        Meta(description="Trainings per method; null: no number, the problems are too few."),
    ]


class Plan(JsonStruct, frozen=True, kw_only=True):
    """What a gate can decide with these problems; differences are shares of 1, as pass@1 is."""

    schema_version: Literal[1]
    task: str | None
    source: Annotated[str, Meta(description="Where the variances come from: runs or assumptions.")]
    problems: Positive
    clusters: Positive
    rate: Annotated[Share | None, Meta(description="Mean pass rate; null where two runs show all.")]
    noise: Annotated[
        float, Meta(ge=0, description="Variance of one sample's verdict within a problem.")
    ]
    change: Annotated[
        float,
        Meta(ge=0, description="Variance of the problems' true change between equal checkpoints."),
    ]
    together: Annotated[Share, Meta(description="Its correlation within a cluster.")]
    margin: Annotated[float, Meta(gt=0, description="Tolerated drop.")]
    alpha: Annotated[float, Meta(gt=0, lt=0.5, description="One-sided.")]
    loss: Annotated[float, Meta(gt=0, description="The true drop whose power is planned.")]
    target: Annotated[Share, Meta(description="The chance that the last columns reach.")]
    smallest_margin: Annotated[
        float, Meta(gt=0, description="Below it, not even clusters without a change decide.")
    ]
    enough_samples: Annotated[
        Positive | None,
        Meta(
            description="Samples per problem at which sampling is a tenth of the variance: more "
            "hardly help. Null where the problems do not vary."
        ),
    ]
    advice: str
    samples: list[PlannedSamples]
    seeds: PlannedSeeds | None = None
