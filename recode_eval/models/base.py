"""The `Model` interface: requests in, a stream of completions out.

A back-end says what it cannot do (raises `UsageError` at construction) instead of ignoring it.
Every sample has its own seed, so that sample `i` of a problem is the same whether 5 or 10 are drawn
and whichever samples an earlier, interrupted run already stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.models.feed import Feed


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model calls; `arguments` are JSON as the model wrote it, or anything."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call; `parameters` is a JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; `role` is `system`, `user`, `assistant` or `tool`."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant's message calls."""
    tool_call_id: str = ""
    """The call that a tool's message answers."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages to send; a `prefill` opens the assistant's turn and the model continues it."""

    messages: tuple[Message, ...]
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How to sample. `temperature == 0` means greedy (then `top_p` and seeds have no effect)."""

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `UsageError` for an empty stop string, which would end every answer at once."""
        if not all(self.stop):
            raise UsageError("A stop string must not be empty: it would empty every answer.")


@dataclass(frozen=True, slots=True)
class Request:
    """The samples wanted of one problem: `samples[i]` an index, `seeds[i]` its seed (31 bits)."""

    problem_id: str
    prompt: Prompt
    samples: tuple[int, ...]
    seeds: tuple[int, ...]
    language: str = "python"
    """What the answer is to be written in."""
    tools: tuple[Tool, ...] = ()
    """What the model may call instead of answering; only back-ends with tool calls get any."""


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    LENGTH = "length"
    PROMPT_TOO_LONG = "prompt_too_long"
    """The prompt does not fit the model's context; the text is empty. A record, not a crash."""
    MISSING = "missing"
    """A replayed file has no completion for this sample; the text is empty."""
    CONTENT_FILTER = "content_filter"
    """The server's filter cut the answer off; the text is what came before."""
    UNANSWERED = "unanswered"
    """The server refuses this prompt or fails at it, and answers others; `detail` says why."""

    @property
    def is_sample(self) -> bool:
        """Whether there is an answer to grade; without one the sample is unscored, not wrong."""
        return self not in {FinishReason.MISSING, FinishReason.UNANSWERED}


@dataclass(frozen=True, slots=True)
class Completion:
    """One sample. `text` is what came after the prefill; stop strings are not included."""

    problem_id: str
    sample: int
    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    """Wall time of the request, or the batch's time divided by its samples."""
    prefill: str | None = None
    """What opened the assistant's turn, if not the prompt's own prefill: a server that cannot
    continue a turn leaves it out (`""`), a replayed file says what it was generated with."""
    is_code: bool = False
    """The text is bare code (a replayed `solution`): extraction takes it as it is."""
    detail: str = ""
    """Why there is no answer, for people."""
    tool_calls: tuple[ToolCall, ...] = ()
    """What the model calls before it answers."""
    reasoning_tokens: int | None = None
    """How many of the completion tokens were thoughts, where the server says so."""
    cached_tokens: int | None = None
    """How many of the prompt tokens the server read from its cache, where it says so."""
    batched: bool = False
    """A batch job asked for it, which servers sell cheaper."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Who answered. `identity` decides which stored records may be reused; `details` do not."""

    name: str
    """Short, for tables: the path's last parts, `baseline:stale`, the server's model name."""
    backend: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    """What makes two models the same: path and content hash, adapter, dtype, base URL, ..."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Provenance only: library versions, device, context length, batch size."""


@runtime_checkable
class Model(Protocol):
    """A source of completions."""

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity."""
        ...

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield every requested sample once, in any order, as soon as it is there.

        Raises `InfrastructureError` when the engine or server cannot go on; what was yielded before
        stays valid. Closing the iterator stops the generation.
        """
        ...

    def close(self) -> None:
        """Free the engine. Idempotent."""
        ...


@runtime_checkable
class FollowingModel(Protocol):
    """A model that takes requests while it answers others: a conversation waits for no other one.

    Other models are asked in rounds, with what is open.
    """

    def follow(self, feed: Feed[Request], parameters: SamplingParameters) -> Iterator[Completion]:
        """Yield the samples of what comes out of the feed, as `generate` does, until it closes."""
        ...
