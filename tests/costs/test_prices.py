"""The user's price file, and what answers cost by it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.costs.of_run import PER_HOUR_SERVED, Pricing, RunCost, pricing_of
from recode_eval.costs.prices import Price, find_price, load_prices, rounded
from recode_eval.errors import UsageError
from recode_eval.models.base import Completion, FinishReason, ModelInfo

GOOD = """\
currency: EUR
models:
  - model: big-*
    as_of: 2026-01-31
    source: the provider's list
    input: 0.1
    cached_input: 0.01
    output: 0.7
    batch: 0.5
  - model: "*"
    as_of: "2026-02-01"
    source: our own machine
    per_hour: 3
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "prices.yaml"
    file.write_text(text)
    return file


def answer(prompt: int | None, tokens: int | None, **more: object) -> Completion:
    return Completion("p", 0, "x", FinishReason.STOP, prompt, tokens, **more)  # type: ignore[arg-type]


def test_the_first_match_counts(tmp_path: Path) -> None:
    prices = load_prices(written(tmp_path, GOOD))
    assert find_price(prices, "big-one").input == Decimal("0.1")  # type: ignore[union-attr]
    assert find_price(prices, "small").per_hour == Decimal(3)  # type: ignore[union-attr]
    assert find_price(prices[:1], "Big-one") is None
    assert prices[0].as_of == "2026-01-31"
    assert [Price.from_json(price.to_json()) for price in prices] == list(prices)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("currency: EUR", "", "`currency` is missing"),
        ("currency: EUR", "currency: <CURRENCY>", "still the placeholder <CURRENCY>"),
        ("currency: EUR", "currency: euro", "a code of three letters"),
        ("currency: EUR", "curency: EUR", "Did you mean currency"),
        ("big-*", "<MODEL>", "still the placeholder <MODEL>"),
        ("2026-01-31", "<DAY>", "`as_of` is still the placeholder"),
        ("2026-01-31", "31.1.2026", "must be a day such as 2026-01-31"),
        ("2026-01-31", "2026-01-31 10:00:00", "must be a day such as 2026-01-31"),
        ("    as_of: 2026-01-31\n", "", "`as_of` is missing"),
        ("the provider's list", "<WHERE>", "`source` is still the placeholder"),
        ("input: 0.1", "imput: 0.1", "Did you mean input"),
        ("input: 0.1", "input: <PRICE>", "still the placeholder <PRICE>"),
        ("input: 0.1", "input: '0.1'", "must be a number like 0.25"),
        ("input: 0.1", "input: true", "must be a number like 0.25"),
        ("input: 0.1", "input: -1", "must be a number of 0 to"),
        ("input: 0.1", "input: .inf", "must be a number of 0 to"),
        ("input: 0.1", "input: .nan", "must be a number of 0 to"),
        ("    output: 0.7\n", "", "`output` is missing"),
        ("batch: 0.5", "batch: 1.5", "a factor above 0 and at most 1"),
        ("batch: 0.5", "per_hour: 1", "`per_hour` and `input` exclude each other"),
        (GOOD, "", "a mapping with `currency` and `models`"),
        (GOOD, "currency: EUR\nmodels: []", "at least one entry"),
        (GOOD, "currency: [", "are not YAML"),
        (GOOD, "currency: EUR\nmodels: [3]", "must be a mapping"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(UsageError, match=r"prices\.yaml") as error:
        load_prices(file)
    assert words in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot read the prices"):
        load_prices(tmp_path / "none.yaml")


def test_costs_are_exact(tmp_path: Path) -> None:
    """In binary fractions, 0.1 + 0.7 is not 0.8."""
    price = load_prices(written(tmp_path, GOOD))[0]
    assert price.of(answer(1_000_000, 1_000_000)) == Decimal("0.8")
    assert price.of(answer(1_000_000, 0, cached_tokens=400_000)) == Decimal("0.064")
    assert price.of(answer(1_000_000, 1_000_000, batched=True)) == Decimal("0.4")
    with pytest.raises(ValueError, match="does not say how many tokens"):
        price.of(answer(3, None))
    too_long = Completion("p", 0, "", FinishReason.PROMPT_TOO_LONG, completion_tokens=0)
    assert price.of(too_long) == 0
    hourly = load_prices(written(tmp_path, GOOD))[1]
    assert hourly.of(answer(None, None, seconds=1200.0)) == Decimal(1)


def test_a_batch_price_that_nobody_gave_is_unknown(tmp_path: Path) -> None:
    price = load_prices(written(tmp_path, GOOD.replace("    batch: 0.5\n", "")))[0]
    with pytest.raises(ValueError, match="no factor `batch`"):
        price.of(answer(1, 1, batched=True))


def test_hours_are_not_for_servers(tmp_path: Path) -> None:
    prices = load_prices(written(tmp_path, GOOD))
    local = ModelInfo("small", "transformers", {"path": "x"})
    served = ModelInfo("small", "openai", {"base_url": "http://x/v1"})
    assert pricing_of(prices, local).price == prices[1]
    assert pricing_of(prices, served) == Pricing(None, PER_HOUR_SERVED)
    for pricing in (pricing_of(prices, local), pricing_of(prices, served)):
        assert Pricing.from_json(pricing.to_json()) == pricing


def test_what_a_run_cost(tmp_path: Path) -> None:
    price = load_prices(written(tmp_path, GOOD))[0]
    cost = RunCost(Pricing(price))
    for scored in (True, True, False):
        cost.add(answer(1_000_000, 1_000_000), scored=scored)
    found = cost.to_json(2)
    assert found == {
        "currency": "EUR",
        "total": 2.4,
        "per_sample": 0.8,
        "per_solved": 0.8,
        "as_of": "2026-01-31",
        "source": "the provider's list",
    }
    assert cost.to_json(0)["per_solved"] is None  # type: ignore[index]
    cost.add(answer(None, None), scored=True)
    assert cost.to_json(2) is None
    assert cost.unknown == "the server does not say how many tokens its answers took"


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans()), max_size=20),
    st.decimals(0, 1000, places=4),
    st.decimals(0, 1000, places=4),
)
def test_the_sum_of_costs_is_the_cost_of_sums(
    answers: list[tuple[int, int, bool]], dear: Decimal, cheap: Decimal
) -> None:
    price = Price("m", "EUR", "2026-01-31", "x", input=cheap, output=dear, batch=Decimal("0.5"))
    total = sum((price.of(answer(p, c, batched=b)) for p, c, b in answers), Decimal(0))
    sums = {
        batched: [sum(x[part] for x in answers if x[2] is batched) for part in (0, 1)]
        for batched in (True, False)
    }
    assert total == sum(
        price.of_tokens(asked, told, batched=batched) for batched, (asked, told) in sums.items()
    )
    assert rounded(total) == pytest.approx(float(total), rel=1e-7)


@given(st.dictionaries(st.sampled_from(["model", "currency", "input", "x"]), st.text(max_size=9)))
def test_a_hostile_manifest_is_refused_in_words(stored: dict[str, str]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Price.from_json(stored)


def test_the_format_of_the_documentation_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()
    shown = page.partition("```yaml\n")[2].partition("```")[0]
    values = {"CURRENCY": "EUR", "MODEL": "big", "LOCAL-MODEL": "small", "DAY": "2026-01-31",
              "WHERE": "a list", "PRICE": "1.5", "FACTOR": "0.5"}  # fmt: skip
    for left in values:
        filled = shown
        for name, value in values.items():
            filled = filled if name == left else filled.replace(f"<{name}>", value)
        with pytest.raises(UsageError, match=f"still the placeholder <{left}>"):
            load_prices(written(tmp_path, filled))
    for name, value in values.items():
        shown = shown.replace(f"<{name}>", value)
    assert [price.model for price in load_prices(written(tmp_path, shown))] == ["big", "small"]
