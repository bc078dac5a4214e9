"""What a run's conversations may be: their turns, tools and budgets, and whether a task has any."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.conversations.split import visible_hash
from recode_eval.errors import UsageError
from recode_eval.languages import get_language
from recode_eval.languages.base import Tracing
from recode_eval.models.backends import BACKENDS, backend_facts, get_backend
from recode_eval.terminal import one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from recode_eval.models.base import Model
    from recode_eval.tasks.base import Problem, Task

FORM: Final = 1
"""Of what the model is told on the way; another form is another run."""
MOST_TOLD: Final = 8_000
"""Tokens that a tool or a failure tells at most, by the generous count of `costs.spending`: about
16,000 characters."""
RUN, READ, SEARCH = "run", "read", "search"


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """The conversations of one run.

    >>> ConversationSettings(turns=3).identity("4f" * 32)["turns"]
    3
    """

    turns: int = 1
    tools: tuple[str, ...] = ()
    tool_calls: int = 16
    tool_seconds: float = 120.0
    tool_tokens: int = 16384
    docs_hash: str = ""
    """SHA-256 of what `search` looks in; empty without it."""
    docs: Path | None = None
    """Where that lies; it is not needed to grade again."""

    @property
    def is_single(self) -> bool:
        """Whether the model answers once, without tools: no conversation at all."""
        return self.turns == 1 and not self.tools

    def used_up(self, calls: int, seconds: float, tokens: int) -> str:
        """Return which budget of the tools is used up; empty if none is.

        >>> ConversationSettings(tools=("run",), tool_calls=2).used_up(2, 0.0, 0)
        'all 2 calls are made'
        """
        if calls >= self.tool_calls:
            return f"all {self.tool_calls} calls are made"
        if seconds >= self.tool_seconds:
            return f"all {self.tool_seconds:g} seconds are used up"
        if tokens >= self.tool_tokens:
            return f"all {self.tool_tokens} tokens are written"
        return ""

    def worst(
        self, prompt_tokens: int, max_tokens: int, context: int | None = None
    ) -> tuple[int, int, int]:
        """Return the most that one sample may take: requests, tokens of prompts and of answers.

        `prompt_tokens` are those of the first prompt. Each request but one of each turn uses a call
        of the budget; each prompt holds what was written and told before, and fits the `context`.

        >>> ConversationSettings(turns=2).worst(100, 50, context=120)
        (2, 220, 100)
        """
        requests = self.turns + (self.tool_calls if self.tools else 0)
        most = max(prompt_tokens, context or 2**53)
        prompts = sum(
            min(most, prompt_tokens + number * (max_tokens + MOST_TOLD))
            for number in range(requests)
        )
        return requests, prompts, requests * max_tokens

    def identity(self, visible: str) -> dict[str, Any]:
        """Return what tells this run from others; `visible` is `split.visible_hash`."""
        found: dict[str, Any] = {"form": FORM, "turns": self.turns}
        if self.turns > 1:
            found["visible"] = visible
        if self.tools:
            found["tools"] = {
                "names": list(self.tools),
                "calls": self.tool_calls,
                "seconds": self.tool_seconds,
                "tokens": self.tool_tokens,
                **({"docs": self.docs_hash} if self.docs_hash else {}),
            }
        return found

    def identity_of(self, task: Task, problems: Iterable[Problem]) -> dict[str, Any]:
        """Return `identity` with the visible tests of these problems.

        They are all of the data: a higher --limit goes on with a run, and documentation arms that
        leave problems out stay comparable.

        Raises:
            UsageError: the task has nothing to run, or its language cannot say where a program
                fails.
        """
        language = get_language(task.spec.language)
        if not task.conditions:
            raise UsageError(
                f"The task {task.spec.name} has no tests, so there is nothing to talk about: leave "
                "out --turns and --tools."
            )
        if not isinstance(language, Tracing):
            raise UsageError(
                f"{language.title} cannot say where a program fails (`languages.base.Tracing`): "
                "leave out --turns and --tools."
            )
        if READ in self.tools and language.name != "python":
            raise UsageError(
                f"The tool read knows Python's libraries, and {task.spec.name} is in "
                f"{language.title}: leave it out of --tools."
            )
        return self.identity(visible_hash(task, problems) if self.turns > 1 else "")

    @classmethod
    def from_identity(cls, stored: Mapping[str, Any] | None) -> ConversationSettings | None:
        """Return the settings that a stored run's identity tells; None for single answers.

        Raises `KeyError`, `TypeError` or `ValueError` for what no run writes.
        """
        if stored is None:
            return None
        if stored["form"] != FORM:
            raise ValueError(f"conversations of the form {stored['form']!r}")
        tools = stored.get("tools") or {}
        found = cls(stored["turns"])
        if not tools:
            return found
        return cls(
            stored["turns"],
            tuple(tools["names"]),
            tools["calls"],
            tools["seconds"],
            tools["tokens"],
            tools.get("docs", ""),
        )

    def check_model(self, model: Model) -> None:
        """Raise `UsageError` for a model that cannot hold such conversations."""
        able = bool(getattr(model, "calls_tools", False))
        self.check_backend(model.info.backend, model.info.name, calls_tools=able)

    def check_backend(self, backend: str, model: str, *, calls_tools: bool = False) -> None:
        """Raise `UsageError` as `check_model` does, before minutes of loading.

        `calls_tools`: the model can, whatever is known of its back-end.
        """
        facts = backend_facts(backend)
        if not facts.generates:
            raise UsageError(
                f"{model} has its answers already and cannot answer anew: --turns and --tools "
                "need a model that generates."
            )
        if self.tools and not (facts.calls_tools or calls_tools):
            able = [name for name in BACKENDS.builtin if get_backend(name).calls_tools]
            raise UsageError(
                f"The back-end {backend} has no tool calls; --tools needs one of "
                f"{', '.join(able)} (a server, for instance `vllm serve MODEL "
                "--enable-auto-tool-choice --tool-call-parser NAME`)."
            )


def described(stored: object) -> str:
    """Return what a stored identity says of conversations, for people; it may hold anything.

    >>> described(ConversationSettings(3, ("run",)).identity("4f" * 32))
    'up to 3 turns (visible tests 4f4f4f4f4f4f), tools run (16 calls, 120 s, 16384 tokens)'
    """
    try:
        assert isinstance(stored, dict)
        own = ConversationSettings.from_identity(stored)
        assert own is not None
        text = f"up to {own.turns} turns" if own.turns > 1 else "1 turn"
        if own.turns > 1:
            text += f" (visible tests {stored['visible'][:12]})"
        if own.tools:
            docs = f", documentation {own.docs_hash[:12]}" if own.docs_hash else ""
            text += (
                f", tools {', '.join(own.tools)} ({own.tool_calls} calls, {own.tool_seconds:g} s, "
                f"{own.tool_tokens} tokens{docs})"
            )
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError):
        text = json.dumps(stored, sort_keys=True)
    return one_line(text)


def in_short(stored: object) -> str:
    """Return turns and tools alone, where `described` is too long; `stored` may hold anything.

    >>> in_short(ConversationSettings(3, ("run",)).identity("4f" * 32))
    '3 turns, tools run'
    """
    try:
        assert isinstance(stored, dict)
        own = ConversationSettings.from_identity(stored)
        assert own is not None
        turns = plural(own.turns, "turn")
        text = f"{turns}, tools {', '.join(own.tools)}" if own.tools else turns
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError):
        text = "conversations"
    return one_line(text, 60)
