"""Groups of a run's options: what a model is told, how it may work, what it may cost."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.checks import (
    at_least_one,
    named_fields_only,
    of_type,
    one_of,
    path,
    texts,
    whole,
    within,
)
from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOOLS: Final = ("run", "read", "search")
MOST_TURNS: Final = 20


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class DocsOptions:
    """What the model is told about the update: one arm, or several that are compared.

    >>> DocsOptions(arms=["none", "note"]).distractors
    4
    """

    arms: Sequence[str] = ("note",)
    """`none`, `note`, `signature`, `changelog`, `wrong-version`, `mixed`, `retrieved:DIR`, or a
    file or folder that is shown as it is."""
    distractors: int = 4
    """Notes about other changes among which `mixed` hides the right one, at least 1."""
    tokens: int = 2000
    """Most tokens of what `retrieved` shows, as `documentation.tokens` counts them."""
    top: int = 5
    """Most passages that `retrieved` shows."""

    def __post_init__(self) -> None:
        arms = tuple(dict.fromkeys(texts("docs", self.arms)))
        if not arms or not all(arms):
            raise UsageError("docs must name at least one arm, such as none or note.")
        object.__setattr__(self, "arms", arms)
        for name in ("distractors", "tokens", "top"):
            whole(f"docs {name}", getattr(self, name), 1)


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class ConversationOptions:
    """How often the model may answer, and what it may use on the way.

    >>> ConversationOptions(turns=2).is_single
    False
    """

    turns: int = 1
    """Answers per sample, 1 to 20: after a failure the model sees what went wrong."""
    tools: Sequence[str] = ()
    """Of `run`, `read` and `search`; for servers with tool calls."""
    tool_docs: Path | str | None = None
    """The folder that `search` looks in."""
    tool_calls: int = 16
    """Most tool calls of a sample, at least 1."""
    tool_seconds: float = 120.0
    """Most seconds that the tools of a sample may take together."""
    tool_tokens: int = 16384
    """Most tokens that the model may write in a sample that uses tools."""

    def __post_init__(self) -> None:
        put = functools.partial(object.__setattr__, self)
        at_least_one("turns", self.turns)
        if self.turns > MOST_TURNS:
            raise UsageError(f"turns must be at most {MOST_TURNS}, not {self.turns}.")
        put("tools", tuple(dict.fromkeys(texts("tools", self.tools))))
        for name in self.tools:
            one_of("tool", name, TOOLS)
        if self.tool_docs is not None:
            put("tool_docs", path("tool_docs", self.tool_docs))
        if ("search" in self.tools) != (self.tool_docs is not None):
            raise UsageError(
                "The tool search needs a folder (--tool-docs FOLDER), and the folder that tool "
                "(--tools search)."
            )
        at_least_one("tool_calls", self.tool_calls)
        at_least_one("tool_tokens", self.tool_tokens)
        within("tool_seconds", self.tool_seconds, 0, 86400, above=True)

    @property
    def is_single(self) -> bool:
        """Whether the model answers once, without tools."""
        return self.turns == 1 and not self.tools


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """What a run costs, and may cost.

    >>> BudgetOptions(max_tokens_total=1000).is_limited
    True
    """

    prices: Path | str | None = None
    """A file with the user's own prices (docs/cost.md)."""
    max_cost: float | None = None
    """The run stops before it costs more, in the currency of the prices; above 0."""
    max_tokens_total: int | None = None
    """The run stops before prompts and answers together have more tokens; at least 1."""
    batch: bool = False
    """Send the requests as batch jobs, which servers sell cheaper and answer within a day."""

    def __post_init__(self) -> None:
        put: Any = functools.partial(object.__setattr__, self)
        if self.prices is not None:
            put("prices", path("prices", self.prices))
        within("max_cost", self.max_cost, 0, 1e12, above=True)
        if self.max_cost is not None and self.prices is None:
            raise UsageError(
                "max_cost needs prices: a file that says what tokens cost (--prices FILE)."
            )
        at_least_one("max_tokens_total", self.max_tokens_total)
        of_type("batch", self.batch, bool, "true or false")

    @property
    def is_limited(self) -> bool:
        """Whether the run must stop somewhere."""
        return self.max_cost is not None or self.max_tokens_total is not None
