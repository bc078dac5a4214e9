"""The output of `recode-eval lift --json`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from recode_eval.schemas.base import Count, Integer, JsonStruct, Positive, Share
from recode_eval.schemas.comparison import ComparedMetric, ComparedRun, DifferenceFields

SCHEMA_VERSION = 1


class LiftArm(JsonStruct, frozen=True, kw_only=True):
    """One arm: what the prompt told the model of the update, and what that took."""

    arm: str
    run: ComparedRun
    problems: Positive
    left_out: Annotated[
        Count, Meta(description="Problems that cannot run here, or that the arm has no text for.")
    ]
    prompt_tokens_per_sample: float | None
    completion_tokens_per_sample: float | None
    cost_per_sample: float | None
    cost_per_solved: float | None
    currency: str | None


class LiftGroup(DifferenceFields, frozen=True, kw_only=True):
    """The primary metric on the problems with one value of a tag; not corrected."""

    tag: str
    value: str


class LiftEffect(JsonStruct, frozen=True, kw_only=True):
    """One arm against one reference, which is the baseline."""

    arm: str
    reference: str
    cautions: list[str]
    metrics: Annotated[
        list[ComparedMetric], Meta(min_length=1, description="The primary metric comes first.")
    ]
    groups: list[LiftGroup]


class LiftOfModel(JsonStruct, frozen=True, kw_only=True):
    """One model on one task."""

    model: str
    task: str
    seed: Integer
    arms: Annotated[list[LiftArm], Meta(min_length=2)]
    effects: Annotated[list[LiftEffect], Meta(min_length=1)]


class LiftOutput(JsonStruct, frozen=True, kw_only=True):
    """Output of `recode-eval lift --json`.

    Additions keep schema_version; anything else raises it.
    """

    schema_version: Literal[1]
    confidence: Annotated[Share, Meta(description="Of all intervals.")]
    lifts: Annotated[list[LiftOfModel], Meta(min_length=1)]
