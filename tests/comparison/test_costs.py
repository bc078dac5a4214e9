"""Costs of two runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from recode_eval.comparison.costs import cost_cautions, cost_difference, cost_json, cost_sentence
from recode_eval.run.results_file import ResultsFile
from recode_eval.schemas.results import CostSection

if TYPE_CHECKING:
    from collections.abc import Callable


class _Results(msgspec.Struct):
    usage: Any


class _Usage(msgspec.Struct):
    cost: CostSection | None


def run(per_solved: float | None, currency: str = "EUR", as_of: str = "2026-01-31") -> ResultsFile:
    cost = CostSection(
        currency=currency, total=1.0, per_sample=0.1, per_solved=per_solved, as_of=as_of, source="x"
    )
    return ResultsFile("x", _Results(_Usage(cost)), {})  # type: ignore[arg-type]


def without() -> ResultsFile:
    return ResultsFile("x", _Results(_Usage(None)), {})  # type: ignore[arg-type]


def test_a_ratio_says_how_much_more_a_solution_costs() -> None:
    found = cost_difference(run(0.02), run(0.05))
    assert found is not None
    assert found.ratio == pytest.approx(2.5)
    assert cost_sentence(found) == (
        "Cost per solved sample: 0.02 EUR (baseline), 0.05 EUR (candidate), 2.5 times as much."
    )
    assert cost_json(found)["ratio"] == found.ratio  # type: ignore[index]


@pytest.mark.parametrize(
    "pair", [lambda: (run(0.1), run(0.1, "USD")), lambda: (run(0.0), run(0.1)),
             lambda: (run(None), run(0.1)), lambda: (run(0.1), run(None))]
)  # fmt: skip
def test_there_is_no_ratio_where_nothing_can_be_divided(pair: Callable[[], Any]) -> None:
    found = cost_difference(*pair())
    assert found is not None
    assert found.ratio is None
    assert "times" not in cost_sentence(found)


def test_other_currencies_and_days_are_cautioned() -> None:
    assert cost_cautions(run(1.0), run(1.0)) == []
    assert cost_cautions(run(1.0), run(1.0, "USD")) == ["the costs are in EUR and USD"]
    later = run(1.0, as_of="2026-03-01")
    assert cost_cautions(run(1.0), later) == ["the prices are of 2026-01-31 and 2026-03-01"]
    assert cost_cautions(run(1.0), without()) == []


def test_a_run_without_a_cost_is_not_compared() -> None:
    assert cost_difference(run(1.0), without()) is None
    assert cost_sentence(None) == ""
    assert cost_json(None) is None
