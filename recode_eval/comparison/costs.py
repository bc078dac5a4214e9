"""What a solved sample costs with either of two runs, by the prices that the runs were given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.run.report import money

if TYPE_CHECKING:
    from recode_eval.run.results_file import ResultsFile


@dataclass(frozen=True, slots=True)
class CostDifference:
    """Cost per solved sample of both runs; candidate / baseline where that can be said."""

    baseline: float | None
    candidate: float | None
    baseline_currency: str
    candidate_currency: str
    ratio: float | None
    """None: unknown, another currency, or a baseline that costs nothing."""


def cost_difference(a: ResultsFile, b: ResultsFile) -> CostDifference | None:
    """Compare what a baseline and a candidate cost per solved sample; None: one has no cost."""
    one, two = a.results.usage.cost, b.results.usage.cost
    if one is None or two is None:
        return None
    ratio = None
    if one.currency == two.currency and one.per_solved and two.per_solved is not None:
        ratio = two.per_solved / one.per_solved
    return CostDifference(one.per_solved, two.per_solved, one.currency, two.currency, ratio)


def cost_cautions(a: ResultsFile, b: ResultsFile) -> list[str]:
    """Return why the costs of two runs should not be compared as they are."""
    one, two = a.results.usage.cost, b.results.usage.cost
    if one is None or two is None:
        return []
    if one.currency != two.currency:
        return [f"the costs are in {one.currency} and {two.currency}"]
    if one.as_of != two.as_of:
        return [f"the prices are of {one.as_of} and {two.as_of}"]
    return []


def cost_sentence(found: CostDifference | None) -> str:
    """Return the comparison in words; empty where there is none."""
    if found is None:
        return ""
    text = (
        f"Cost per solved sample: {money(found.baseline, found.baseline_currency)} (baseline), "
        f"{money(found.candidate, found.candidate_currency)} (candidate)"
    )
    return f"{text}, {found.ratio:.3g} times as much." if found.ratio is not None else f"{text}."


def cost_json(found: CostDifference | None) -> dict[str, Any] | None:
    """Return the part of `compare --json`."""
    return None if found is None else asdict(found)
