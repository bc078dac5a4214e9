"""A command's budget: what is spent, what requests in flight may still cost, and what is admitted.

A request is admitted only if everything spent, the worst case of all requests in flight and its own
worst case stay within the budget; so a run stops before it would cost more. The worst case is an
estimate of the prompt's tokens and as many tokens of the answer as it may have. The estimate is
generous, and grows as soon as a server counts more.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recode_eval.costs.prices import Answered, Price
    from recode_eval.models.base import Completion, Prompt, Tool

Key = tuple[str, int]
_BYTES_PER_TOKEN = 2
"""Text has 3 to 5 bytes per token in today's vocabularies; fewer are rare scripts and symbols."""
_PER_MESSAGE = 16
"""Tokens that a chat template may put around a message."""


def estimate_tokens(prompt: Prompt, tools: Sequence[Tool] = ()) -> int:
    """Return more tokens than a prompt is likely to have, with what it calls and may call.

    >>> from recode_eval.models.base import Message, Prompt
    >>> estimate_tokens(Prompt((Message("user", "Say hello."),)))
    37
    """
    texts = [*(message.content for message in prompt.messages), prompt.prefill]
    for message in prompt.messages:
        texts += [call.id + call.name + call.arguments for call in message.tool_calls]
    texts += [json.dumps([tool.name, tool.description, tool.parameters]) for tool in tools]
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return -(-size // _BYTES_PER_TOKEN) + _PER_MESSAGE * len(texts)


@dataclass(slots=True)
class Budget:
    """What one command may spend, over all its runs; safe in threads."""

    max_cost: Decimal | None = None
    max_tokens: int | None = None
    cost: Decimal = Decimal(0)
    """Spent so far, also by earlier commands in the same runs."""
    tokens: int = 0
    flying: dict[int, tuple[Decimal, int]] = field(default_factory=dict)
    """The worst case of all requests in flight, by whoever sends them."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def holds(self) -> bool:
        """Whether all that is spent and in flight stays within the limits."""
        cost = sum((cost for cost, _ in self.flying.values()), Decimal(0))
        tokens = sum(tokens for _, tokens in self.flying.values())
        return (self.max_cost is None or self.cost + cost <= self.max_cost) and (
            self.max_tokens is None or self.tokens + tokens <= self.max_tokens
        )


class Spending:
    """What one model's requests take of a budget."""

    def __init__(self, budget: Budget, price: Price | None, *, batched: bool = False) -> None:
        """Raise `UsageError` where the budget limits a cost that nobody could know."""
        if budget.max_cost is not None:
            check_price(price, batched=batched)
        self._budget, self._price, self._batched = budget, price, batched
        self._flying: dict[Key | int, tuple[int, int]] = {}
        self._sum = (0, 0)
        self._unnamed = 0
        self._growth = 1.0

    @property
    def reason(self) -> str:
        """Why a sample was not asked for, and what to do."""
        limits = []
        if self._budget.max_cost is not None:
            currency = "" if self._price is None else f" {self._price.currency}"
            limits.append(f"{self._budget.max_cost.normalize():f}{currency}")
        if self._budget.max_tokens is not None:
            limits.append(f"{self._budget.max_tokens} tokens")
        return (
            f"the budget of {' and '.join(limits)} leaves no room for another request; raise it "
            "and repeat the command"
        )

    @property
    def out_of_time(self) -> bool:
        """Whether an engine that is paid by the hour must stop now."""
        budget, price = self._budget, self._price
        if price is None or price.per_hour is None or budget.max_cost is None:
            return False
        with budget.lock:
            return budget.cost >= budget.max_cost

    def admit(self, prompt_tokens_estimate: int, max_tokens: int, key: Key | None = None) -> bool:
        """Reserve the worst case of a request, or refuse it.

        `note` frees what was reserved: for the `key` (problem and sample), or the smallest of those
        without one.
        """
        name: Key | int = self._unnamed if key is None else key
        with self._budget.lock:
            # A follow-up of the same sample replaces what was reserved for the request before.
            before = self._flying.get(name)
            self._reserve(name, (prompt_tokens_estimate, max_tokens))
            if not self._budget.holds():
                self._reserve(name, before)
                return False
            self._unnamed += key is None
            return True

    def note(self, completion: Completion) -> None:
        """Count an answer as it was, and free what was reserved for it.

        An answer without a count of its tokens counts as its worst case; none at all is free.
        """
        with self._budget.lock:
            reserved = self._freed((completion.problem_id, completion.sample))
            if not completion.finish_reason.is_sample:
                return
            if reserved and completion.prompt_tokens and reserved[0]:
                self._growth = max(self._growth, completion.prompt_tokens / reserved[0])
            self._count(completion, reserved or (0, 0))

    def count_stored(self, answers: Iterable[tuple[Answered, int]], max_tokens: int) -> None:
        """Count what was paid before: answers, and an estimate of their prompts' tokens.

        An answer without a count of its tokens counts as `max_tokens`, as when it came.
        """
        with self._budget.lock:
            for answer, prompt_tokens in answers:
                self._count(answer, (prompt_tokens, max_tokens))

    def release(self) -> None:
        """Forget what was reserved for requests of which no answer will come."""
        with self._budget.lock:
            self._flying.clear()
            self._sum = (0, 0)
            self._budget.flying.pop(id(self), None)

    def _reserve(self, name: Key | int, amounts: tuple[int, int] | None) -> None:
        """Reserve for one request instead of what was; None: nothing."""
        old, new = self._flying.pop(name, (0, 0)), amounts or (0, 0)
        if amounts is not None:
            self._flying[name] = amounts
        self._sum = self._sum[0] - old[0] + new[0], self._sum[1] - old[1] + new[1]
        self._budget.flying[id(self)] = self._worst(*self._sum)  # prices are linear

    def _freed(self, key: Key) -> tuple[int, int] | None:
        name: Key | int | None = key
        if key not in self._flying:
            unnamed = [name for name in self._flying if isinstance(name, int)]
            name = min(unnamed, key=lambda name: sum(self._flying[name]), default=None)
        if name is None:
            return None
        reserved = self._flying[name]
        self._reserve(name, None)
        return reserved

    def _count(self, answer: Answered, worst: tuple[int, int]) -> None:
        known = answer.prompt_tokens is not None and answer.completion_tokens is not None
        asked = worst[0] if answer.prompt_tokens is None else answer.prompt_tokens
        written = worst[1] if answer.completion_tokens is None else answer.completion_tokens
        self._budget.tokens += asked + written
        if self._budget.max_cost is None or self._price is None:
            return
        try:
            cost = self._price.of(answer)
        except ValueError:
            if known or self._price.per_hour is not None:
                raise
            cost = self._price.most_of_tokens(asked, written, batched=answer.batched)
        self._budget.cost += cost

    def _worst(self, prompt_tokens: int, max_tokens: int) -> tuple[Decimal, int]:
        prompt_tokens = int(prompt_tokens * self._growth) + (self._growth > 1)
        cost = Decimal(0)
        limits_tokens = self._price is not None and self._price.per_hour is None
        if self._budget.max_cost is not None and self._price is not None and limits_tokens:
            cost = self._price.most_of_tokens(prompt_tokens, max_tokens, batched=self._batched)
        return cost, prompt_tokens + max_tokens


def check_price(price: Price | None, *, batched: bool) -> None:
    """Raise `UsageError` unless this price tells what a request will cost."""
    if price is None:
        raise UsageError(
            "--max-cost needs to know what the model costs, but no entry of --prices matches its "
            "name; add one, or give --max-tokens-total instead"
        )
    if batched and price.per_hour is None and price.batch is None:
        raise UsageError(
            f"--max-cost and --batch need the factor `batch` in the price of {price.model}; write "
            "1 if batch jobs cost as much as other requests"
        )
