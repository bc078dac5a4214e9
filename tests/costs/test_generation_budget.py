"""A budget between a run and any model: waves that fit, and nothing asked beyond them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.costs.prices import Price
from recode_eval.costs.spending import Budget, Spending, estimate_tokens
from recode_eval.models.base import (
    Completion,
    FinishReason,
    Message,
    ModelInfo,
    Prompt,
    Request,
    SamplingParameters,
)
from recode_eval.run.generation import Generation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.run.grading import Unscored

PROMPT = Prompt((Message("user", "Write it."),))
SAMPLING = SamplingParameters(max_tokens=20)
WORST = estimate_tokens(PROMPT) + 20


class Engine:
    """A local engine: takes all requests of a call at once, and answers one after the other."""

    info = ModelInfo("small", "test")

    def __init__(self, tokens: int = 5, seconds: float = 1.0, *, counts: bool = True) -> None:
        self.tokens, self.seconds, self.counts = tokens, seconds, counts
        self.calls: list[int] = []
        self.answered = 0
        self.closed = 0

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        del parameters
        self.calls.append(sum(len(request.samples) for request in requests))
        try:
            for request in requests:
                for sample in request.samples:
                    self.answered += 1
                    asked, told = (10, self.tokens) if self.counts else (None, None)
                    yield Completion(request.problem_id, sample, "x", FinishReason.STOP, asked,
                                     told, self.seconds)  # fmt: skip
        finally:
            self.closed += 1

    def close(self) -> None:
        """Nothing to free."""


def asked(engine: Engine, budget: Budget, price: Price | None = None, samples: int = 30) -> list[Unscored]:  # fmt: skip # noqa: E501
    """Ask for samples of one problem; return those that were not."""
    generation = Generation({"p": PROMPT}, {"p": "hash"}, SAMPLING, "python")
    generation.spending = Spending(budget, price)
    unscored: list[Unscored] = []
    keys = [("p", index) for index in range(samples)]
    records = list(generation.records(engine, keys, unscored.append))
    assert len(records) + len(unscored) == samples
    assert {r.key for r in records} | {(u.problem_id, u.sample) for u in unscored} == set(keys)
    return unscored


@given(st.integers(0, 2000), st.integers(0, 20))
def test_waves_use_the_budget_up_and_never_exceed_it(most: int, tokens: int) -> None:
    engine, budget = Engine(tokens), Budget(max_tokens=most)
    unscored = asked(engine, budget)
    assert budget.tokens == engine.answered * (10 + tokens) <= most
    if unscored:
        assert most - budget.tokens < WORST
        assert "leaves no room for another request; raise it and repeat" in unscored[0].reason
    assert engine.closed == len(engine.calls)


def test_a_budget_that_is_never_reached_asks_once() -> None:
    engine = Engine()
    assert asked(engine, Budget(max_tokens=10**6)) == []
    assert engine.calls == [30]


def test_answers_without_counts_spend_their_worst_case() -> None:
    engine = Engine(counts=False)
    unscored = asked(engine, Budget(max_tokens=3 * WORST))
    assert len(unscored) == 27


def test_an_engine_paid_by_the_hour_is_stopped_in_its_stream() -> None:
    price = Price("small", "EUR", "2026-01-31", "x", per_hour=Decimal(3600))
    engine = Engine(seconds=1.0)
    unscored = asked(engine, Budget(max_cost=Decimal(7)), price)
    assert engine.answered == 7
    assert engine.closed == 1
    assert {item.reason for item in unscored} == {
        "the budget of 7 EUR leaves no room for another request; raise it and repeat the command"
    }


def test_what_is_reserved_is_freed_when_the_run_is_interrupted() -> None:
    budget = Budget(max_tokens=1000)
    generation = Generation({"p": PROMPT}, {"p": "hash"}, SAMPLING, "python")
    generation.spending = Spending(budget, None)
    stream = generation.records(Engine(), [("p", 0), ("p", 1)], lambda _: None)
    next(stream)
    assert budget.flying
    stream.close()
    assert not budget.flying
    assert budget.tokens == 15


def test_a_zero_budget_is_refused_by_the_options() -> None:
    from recode_eval.errors import UsageError
    from recode_eval.run.config_parts import BudgetOptions

    with pytest.raises(UsageError, match="max_tokens_total"):
        BudgetOptions(max_tokens_total=0)
