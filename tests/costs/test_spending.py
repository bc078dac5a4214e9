"""What a budget admits: never more than it holds, whatever answers turn out to be."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.costs.prices import Price
from recode_eval.costs.spending import Budget, Spending, estimate_tokens
from recode_eval.errors import UsageError
from recode_eval.models.base import Completion, FinishReason, Message, Prompt

PRICE = Price("m", "EUR", "2026-01-31", "x", input=Decimal(1), output=Decimal(2))


def completion(sample: int, prompt: int | None, tokens: int | None) -> Completion:
    return Completion("p", sample, "x", FinishReason.STOP, prompt, tokens)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.data()), max_size=30),
    st.integers(1, 400),
)
def test_a_budget_of_tokens_holds(
    requests: list[tuple[int, int, st.DataObject]], most: int
) -> None:
    budget = Budget(max_tokens=most)
    spending = Spending(budget, None)
    for number, (prompt, longest, data) in enumerate(requests):
        if spending.admit(prompt, longest, ("p", number)) and data.draw(st.booleans()):
            used = data.draw(st.integers(0, prompt)), data.draw(st.integers(0, longest))
            spending.note(completion(number, *used))
        assert budget.tokens + sum(tokens for _, tokens in budget.flying.values()) <= most


def test_a_budget_of_money_holds_and_says_so() -> None:
    budget = Budget(max_cost=Decimal("0.0005"))  # 500 units of a millionth
    spending = Spending(budget, PRICE)
    assert spending.admit(100, 100, ("p", 0))  # at worst 300
    assert not spending.admit(100, 100, ("p", 1))
    spending.note(completion(0, 100, 20))  # in fact 140
    assert budget.cost == Decimal("0.00014")
    assert spending.admit(100, 100, ("p", 1))
    assert (
        "budget of 0.0005 EUR leaves no room for another request; raise it and repeat"
        in spending.reason
    )


def test_a_follow_up_replaces_what_its_sample_had_reserved() -> None:
    spending = Spending(Budget(max_tokens=100), None)
    assert spending.admit(40, 40, ("p", 0))
    assert spending.admit(50, 40, ("p", 0))
    assert not spending.admit(70, 40, ("p", 0))
    assert not spending.admit(10, 1, ("p", 1))  # a refused follow-up keeps what was reserved


def test_requests_without_a_key_free_the_smallest() -> None:
    budget = Budget(max_tokens=100)
    spending = Spending(budget, None)
    assert spending.admit(10, 10)
    assert spending.admit(30, 30)
    spending.note(completion(0, 1, 1))
    assert list(budget.flying.values()) == [(0, 60)]
    spending.release()
    assert spending.admit(90, 8)


def test_an_answer_without_counts_costs_its_worst_case() -> None:
    budget = Budget(max_cost=Decimal(1), max_tokens=10**6)
    spending = Spending(budget, PRICE)
    assert spending.admit(100, 50, ("p", 0))
    spending.note(completion(0, None, None))
    assert (budget.tokens, budget.cost) == (150, Decimal("0.0002"))


def test_no_answer_is_free() -> None:
    budget = Budget(max_tokens=100)
    spending = Spending(budget, None)
    assert spending.admit(50, 50, ("p", 0))
    spending.note(Completion("p", 0, "", FinishReason.UNANSWERED))
    assert budget.tokens == 0


def test_the_estimate_grows_with_a_server_that_counts_more() -> None:
    """Prompts in a script that a vocabulary spells byte by byte have more tokens than estimated."""
    spending = Spending(Budget(max_tokens=1000), None)
    assert spending.admit(100, 10, ("p", 0))
    spending.note(completion(0, 200, 10))
    assert not spending.admit(400, 10, ("p", 1))
    assert spending.admit(350, 10, ("p", 2))


def test_several_models_share_one_budget() -> None:
    budget = Budget(max_tokens=100)
    first, second = Spending(budget, None), Spending(budget, None)
    assert first.admit(40, 40, ("p", 0))
    assert not second.admit(20, 20, ("p", 0))
    first.note(completion(0, 10, 10))
    assert second.admit(20, 20, ("p", 0))


def test_a_limit_needs_a_price() -> None:
    with pytest.raises(UsageError, match="no entry of --prices matches"):
        Spending(Budget(max_cost=Decimal(1)), None)
    with pytest.raises(UsageError, match="need the factor `batch`"):
        Spending(Budget(max_cost=Decimal(1)), PRICE, batched=True)


def test_an_hourly_engine_stops_when_its_time_is_paid() -> None:
    price = Price("m", "EUR", "2026-01-31", "x", per_hour=Decimal(36))
    spending = Spending(Budget(max_cost=Decimal("0.02")), price)
    assert spending.admit(1, 1, ("p", 0))
    one = Completion("p", 0, "x", FinishReason.STOP, 1, 1, seconds=1.0)
    spending.note(one)
    assert not spending.out_of_time
    spending.note(one)
    assert spending.out_of_time
    assert not spending.admit(1, 1, ("p", 9)) or spending.out_of_time


@given(st.text(max_size=300))
def test_an_estimate_is_no_less_than_half_the_bytes(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert estimate_tokens(Prompt((Message("user", text),))) >= size / 2


def test_cached_tokens_that_cost_more_are_the_worst_case() -> None:
    """A server may sell what it reads from its cache dearer; the budget was overrun by that."""
    dear = Price("m", "EUR", "2026-01-31", "x", Decimal(0), Decimal(5), Decimal(0))
    budget = Budget(max_cost=Decimal("0.0005"))
    spending = Spending(budget, dear)
    assert spending.admit(100, 10, ("p", 0))
    assert not spending.admit(100, 10, ("p", 1))
