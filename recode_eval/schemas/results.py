"""The content of results.json: one model on one task (docs/results.md).

`ProblemResult` is also what a run computes per problem: counts and means, from which every metric
and every comparison follows.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from recode_eval.metrics import NAME_PATTERN
from recode_eval.schemas.base import (
    Count,
    Hash,
    Integer,
    JsonStruct,
    Positive,
    Share,
    free_form,
    require,
)

SCHEMA_VERSION = 1
IDENTITY = ("task", "task_version", "data", "prompt", "update_note", "sampling", "model")
_SELECTION = ("problems", "n", "limit", "patterns")
_SCORING = ("hash", "limits", "isolation")
_SANDBOX = ("tier", "guarantees", "isolation", "python", "libraries", "image", "image_digest")
_INVOCATION = ("started", "command", "recode_eval", "python", "platform", "packages")
MOST_UNSCORED_LISTED = 200
MOST_REASONS_LISTED = 20


class NewSamplesFields(JsonStruct, frozen=True, kw_only=True):
    """What only new samples of the same problems would move."""

    estimand: Literal["these problems, new samples"] = "these problems, new samples"
    low: float
    high: float
    standard_error: float


class VarianceShares(JsonStruct, frozen=True, kw_only=True):
    """Parts of the squared `standard_error`; they add up to 1."""

    sampling: Share
    problems: Annotated[Share, Meta(description="Between the problems of a cluster.")]
    clusters: Share


class StoredEstimate(JsonStruct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mean over problems; null where the metric has no value (for example n < k).

    Low, high and standard error are about problems like these: other problems, in other clusters.
    """

    value: float
    low: float | None
    high: float | None
    standard_error: float | None
    problems: Positive
    clusters: Positive
    method: Annotated[str, Meta(description="How the interval was made.")]
    new_samples: Annotated[
        NewSamplesFields | None,
        Meta(
            description="The interval if the same problems were asked again; null where the "
            "samples cannot tell (one per problem, or a mean of what is no count)."
        ),
    ] = None
    variance_shares: VarianceShares | None = None


MetricName = Annotated[str, Meta(pattern=NAME_PATTERN)]
Estimates = dict[MetricName, StoredEstimate | None]


class GroupEstimates(JsonStruct, frozen=True, kw_only=True):
    """The problems with one value of a tag."""

    problems: Integer
    metrics: Estimates


class ModelSection(JsonStruct, frozen=True, kw_only=True):
    """The model that was evaluated."""

    name: str
    backend: str
    details: Annotated[
        dict[str, Any], Meta(description="Provenance only: versions, device, context length.")
    ]


class TaskSection(JsonStruct, frozen=True, kw_only=True):
    """The task and the data that it was loaded from."""

    name: str
    version: Integer
    source: str
    data_hash: Hash
    language: Annotated[str, Meta(description="The programming language of the answers.")] = (
        "python"
    )
    bad_rows: Annotated[list[str], Meta(description="Rows left out with --skip-bad-rows.")]
    skipped: Annotated[
        list[str],
        Meta(
            description="Rows that cannot run here (no wheels for this Python); neither passed nor "
            "failed."
        ),
    ] = field(default_factory=list)
    quarantined: Annotated[
        list[str],
        Meta(
            description="Problems that the list given with --quarantine leaves out, and why; "
            "neither passed nor failed."
        ),
    ] = field(default_factory=list)


class DocsSection(JsonStruct, frozen=True, kw_only=True):
    """The documentation that the prompts showed in a block of its own (`docs.jsonl`).

    Tokens are those of the whole block, counted by a rule that is the same for all models.
    """

    arm: str
    hash: Annotated[Hash, Meta(description="Of the arm and every problem's text.")]
    problems: Annotated[Count, Meta(description="with something to show")]
    missing: Annotated[
        Count, Meta(description="selected, but with nothing to show; `task.skipped` says why")
    ] = 0
    withheld: Annotated[
        Count, Meta(description="parts left out because they give an answer away")
    ] = 0
    mean_tokens: Annotated[float, Meta(ge=0)]
    max_tokens: Count


class PromptSection(JsonStruct, frozen=True, kw_only=True):
    """The prompt template."""

    name: str
    source: str
    hash: Hash
    update_note: Annotated[bool, Meta(description="Whether the template's own note is shown.")]
    docs: Annotated[
        DocsSection | None,
        Meta(description="Null for the documentation arms `note` and `none`."),
    ] = None


class SamplingSection(JsonStruct, frozen=True, kw_only=True):
    """How the model was sampled."""

    n: Annotated[Positive, Meta(description="samples per problem")]
    temperature: Annotated[float, Meta(ge=0)]
    top_p: float
    max_tokens: Integer
    stop: list[str]
    seed: Integer


class Counts(JsonStruct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers of problems and samples."""

    problems: Annotated[Count, Meta(description="selected")]
    clusters: Annotated[Count, Meta(description="groups of problems that are not independent")]
    samples: Annotated[Count, Meta(description="problems x n")]
    generated: Annotated[Count, Meta(description="completions stored")]
    scored: Annotated[Count, Meta(description="samples that the metrics count")]
    unscored: Annotated[
        Count, Meta(description="samples that could not be graded; never counted as failures")
    ]
    faulty_problems: Annotated[
        Count, Meta(description="problems whose own set-up failed; not counted")
    ]
    no_code: Annotated[Count, Meta(description="samples without code")]
    cut_off: Annotated[Count, Meta(description="samples that ended at max_tokens")]
    prompt_too_long: Annotated[Count, Meta(description="prompts that did not fit the context")]
    suspicious: Annotated[Count, Meta(description="samples whose code was flagged, scored or not")]


class CostSection(JsonStruct, frozen=True, kw_only=True):
    """What the answers cost, by the user's own price that matched the model."""

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    total: Annotated[
        float,
        Meta(ge=0, description="Of all answers, those of unfinished conversations included."),
    ]
    per_sample: Annotated[
        float, Meta(ge=0, description="Cost of the finished samples / their number.")
    ]
    per_solved: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(
            description="Cost of the scored samples / those that pass; null where none passes, or "
            "the task has no tests."
        ),
    ]
    as_of: Annotated[str, Meta(description="The day on which the price held.")]
    source: Annotated[str, Meta(description="Where the price stands, in the user's words.")]


class UsageSection(JsonStruct, frozen=True, kw_only=True):
    """What the run took; null where the back-end does not say."""

    prompt_tokens: float | None
    completion_tokens: float | None
    generation_seconds: float | None
    execution_cpu_seconds: float | None
    reasoning_tokens: Annotated[
        float | None, Meta(description="Of the completion tokens, where the server says so.")
    ] = None
    cached_tokens: Annotated[
        float | None, Meta(description="Of the prompt tokens, where the server says so.")
    ] = None
    cost: Annotated[
        CostSection | None, Meta(description="Null without prices, and where it is unknown.")
    ] = None
    cost_unknown: Annotated[
        str | None, Meta(description="Why the cost is unknown although there are prices.")
    ] = None


class ProblemResult(JsonStruct, frozen=True, kw_only=True, gc=False):
    """Counts and means of one problem over its scored samples."""

    id: str
    cluster: str
    tags: dict[str, str]
    n: Annotated[Count, Meta(description="scored samples")]
    passed: Annotated[
        Count | None,
        Meta(
            description="samples that pass (with the update, where there is one); null where the "
            "task has no tests"
        ),
    ]
    passed_groups: Annotated[
        dict[str, Count],
        Meta(description="samples that pass a group of the tests, for example base"),
    ] = field(default_factory=dict)
    passed_without_update: Annotated[
        Count | None,
        Meta(description="samples that pass without the update; null for tasks of one condition"),
    ]
    needed_update: Annotated[
        Count | None, Meta(description="samples that pass, and only with the update")
    ]
    test_rate: Annotated[float | None, Meta(description="mean share of the tests that pass")]
    no_code: Annotated[Count, Meta(description="samples without code")]
    es: float | None
    em: float | None
    es_star: float | None
    em_star: float | None
    similarity: Annotated[
        dict[str, float],
        Meta(
            description="further similarity metrics, means over the samples; one that is missing "
            "was not measured"
        ),
    ] = field(default_factory=dict)
    measures: Annotated[
        dict[str, float],
        Meta(
            description="measures of the task's own, for example stale_api; means over the samples"
        ),
    ] = field(default_factory=dict)
    faulty: Annotated[
        str | None,
        Meta(description="why the problem itself cannot be graded; such a problem has no score"),
    ]

    def __post_init__(self) -> None:
        """Raise `ValueError` for counts that no run has."""
        n, groups = self.n, self.passed_groups
        counts = (self.passed, self.passed_without_update, self.needed_update, self.no_code)
        for count in (*counts, *groups.values()) if groups else counts:
            if count is not None and count > n:
                raise ValueError(f"{count} of {n} samples")

    def similarity_of(self, name: str) -> float | None:
        """Return a similarity metric; None where it was not measured."""
        found: float | None = (
            getattr(self, name) if name in SIMILARITY_FIELDS else self.similarity.get(name)
        )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `problems`."""
        content: dict[str, Any] = msgspec.to_builtins(self)
        if not self.similarity:
            del content["similarity"]
        return content


SIMILARITY_FIELDS = ("es", "em", "es_star", "em_star")
"""The similarity metrics that have had a field of their own since the first version of the file;
those that came later are in `similarity`."""


class UnscoredSample(JsonStruct, frozen=True, kw_only=True):
    """A sample that could not be graded."""

    problem_id: str
    sample: Integer
    reason: str
    flags: Annotated[
        list[str], Meta(description="Reasons to distrust its code; see the sandbox page.")
    ] = field(default_factory=list)


class UnsplitReason(JsonStruct, frozen=True, kw_only=True):
    """Why samples ran in one process with their tests."""

    reason: str
    samples: Positive


class SplitSection(JsonStruct, frozen=True, kw_only=True):
    """Where tests ran: in another process than the answer, which so cannot reach them, or not."""

    split: Annotated[Count, Meta(description="scored samples whose tests ran in another process")]
    unsplit: Annotated[
        Count, Meta(description="scored samples that ran in one process with their tests")
    ]
    reasons: Annotated[
        list[UnsplitReason],
        Meta(max_length=MOST_REASONS_LISTED, description="of the unsplit, most frequent first"),
    ]


class TurnSection(JsonStruct, frozen=True, kw_only=True):
    """What one turn of the conversations took; null where the back-end does not say."""

    turn: Positive
    samples: Annotated[Count, Meta(description="samples that came to this turn")]
    prompt_tokens: float | None
    completion_tokens: float | None


class ToolSection(JsonStruct, frozen=True, kw_only=True):
    """What the models of conversations did with their tools."""

    calls: Count
    malformed: Annotated[Count, Meta(description="calls that no tool could take")]
    budget_ended: Annotated[
        Count, Meta(description="samples that went on without tools, a budget being used up")
    ]


class Results(JsonStruct, frozen=True, kw_only=True):
    """Content of results.json: one model on one task.

    Additions keep schema_version; anything else raises it.
    """

    schema_version: Literal[1]
    created: Annotated[str, Meta(description="UTC, ISO 8601.")]
    run: Annotated[
        str,
        Meta(
            pattern="^[0-9a-f]{12}$",
            description="Hash of `identity`; the end of the run folder's name.",
        ),
    ]
    identity: Annotated[
        dict[str, Any],
        free_form(
            IDENTITY,
            "Everything that decides what the model was asked and who it is. Two runs may be "
            "compared if all but `model` agree.",
        ),
    ]
    model: ModelSection
    task: TaskSection
    prompt: PromptSection
    sampling: SamplingSection
    selection: Annotated[
        dict[str, Any],
        free_form(_SELECTION, "How many problems of the data were chosen, and by what."),
    ]
    scoring: Annotated[dict[str, Any], free_form(_SCORING, "The rules and limits of grading.")]
    sandbox: (
        Annotated[
            dict[str, Any],
            free_form(
                _SANDBOX,
                "Tier, guarantees, Python, libraries, image and its digest; in `environments` the "
                "same of every single release that programs ran in, in `nodes` the machines of a "
                "cluster that graded.",
            ),
        ]
        | None
    )
    counts: Counts
    confidence: Annotated[float, Meta(ge=0.95, le=0.95, description="Of all intervals.")]
    metrics: Estimates
    breakdown: Annotated[
        dict[str, dict[str, GroupEstimates]],
        Meta(description="tag -> value -> problems and metrics"),
    ]
    usage: UsageSection
    problems: list[ProblemResult]
    unscored: Annotated[list[UnscoredSample], Meta(max_length=MOST_UNSCORED_LISTED)]
    split: Annotated[
        SplitSection | None,
        Meta(description="Null where the isolation is not `split`."),
    ] = None
    cautions: Annotated[
        list[str],
        Meta(
            description="What a reader must know of a run that another harness made: what its log "
            "does not say, or says against its figures."
        ),
    ] = field(default_factory=list)
    turns: Annotated[
        list[TurnSection] | None,
        Meta(description="Turn by turn; null where each sample is one answer."),
    ] = None
    tools: Annotated[ToolSection | None, Meta(description="Null where the model had no tools.")] = (
        None
    )
    invocations: Annotated[
        list[Annotated[dict[str, Any], free_form(_INVOCATION)]], Meta(min_length=1)
    ]

    def __post_init__(self) -> None:
        """Raise `ValueError` where a free-form part lacks what is read of it."""
        require(self.identity, IDENTITY, "identity")
        require(self.selection, _SELECTION, "selection")
        require(self.scoring, _SCORING, "scoring")
        if self.sandbox is not None:
            require(self.sandbox, _SANDBOX, "sandbox")
        for invocation in self.invocations:
            require(invocation, _INVOCATION, "invocations")
        model, sampling = self.identity["model"], self.identity["sampling"]
        if not isinstance(model, dict) or not isinstance(sampling, dict):
            raise ValueError("`identity.model` or `identity.sampling` is not an object")  # noqa: TRY004
        if not isinstance(self.scoring["hash"], str):
            raise ValueError("`scoring.hash` is not text")  # noqa: TRY004
        if not isinstance(self.invocations[-1]["recode_eval"], str):
            raise ValueError("`invocations.recode_eval` is not a version")  # noqa: TRY004
