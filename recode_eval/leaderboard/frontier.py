"""Score against what it takes: tokens, money, seconds, size; with the models nobody beats for less.

A model is on the *frontier* unless another takes no more and has a significantly higher score by
the pair's own test. So an interval that overlaps puts nobody off it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.comparison.headline import LEVEL
from recode_eval.leaderboard.boards import is_baseline, scores
from recode_eval.leaderboard.methods import method_class
from recode_eval.leaderboard.plots import Place, scatter
from recode_eval.leaderboard.site_views import SiteView
from recode_eval.stats.pairwise import pairwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from markupsafe import Markup
    from numpy.typing import NDArray

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.model_facts import FactBook
    from recode_eval.leaderboard.site_views import SiteData

_MOST_POINTS: Final = 60


@dataclass(frozen=True, slots=True)
class Price:
    """One thing that a model takes."""

    key: str
    label: str
    unit: str


@dataclass(frozen=True, slots=True)
class FrontierRow:
    """One model on a board."""

    number: int
    standing: Standing
    method: str
    price: float
    on_frontier: bool


@dataclass(frozen=True, slots=True)
class Frontier:
    """One board against one price."""

    board: Board
    price: Price
    rows: Sequence[FrontierRow]
    chart: Markup
    unknown: int
    """Runs whose price is not known."""

    @property
    def id(self) -> str:
        """Of the section, in links."""
        return f"{self.price.key}-{self.board.key}"


def _tokens(run: RunEntry, _: FactBook) -> float | None:
    return run.stored.per_sample("completion_tokens")


def _seconds(run: RunEntry, _: FactBook) -> float | None:
    return run.stored.per_sample("generation_seconds")


def _money(run: RunEntry, _: FactBook) -> float | None:
    cost = run.results.usage.cost
    return None if cost is None else cost.per_sample


def _size(run: RunEntry, facts: FactBook) -> float | None:
    return facts.find(run.bare_name).size_b


_PRICES: Final[Sequence[tuple[Price, Callable[[RunEntry, FactBook], float | None]]]] = (
    (Price("tokens", "Completion tokens per sample", "tokens"), _tokens),
    (Price("cost", "Cost per sample, by the prices that whoever ran it gave", ""), _money),
    (Price("seconds", "Seconds of generation per sample", "s"), _seconds),
    (Price("size", "Parameters, in billions", "B"), _size),
)


def frontiers(boards: Iterable[Board], facts: FactBook) -> list[Frontier]:
    """Return a frontier for each board and price that two models or more have."""
    found = []
    for board in boards:
        ranked = [s for s in board.standings if s.rank and not is_baseline(s.run)]
        prices = []
        for price, of in _PRICES:
            known = [(i, of(s.run, facts)) for i, s in enumerate(ranked)]
            priced = [(i, value) for i, value in known if value is not None and value > 0]
            if len({value for _, value in priced}) > 1:
                prices.append((price, priced))
        if prices:
            beats = _beats([standing.run for standing in ranked])
            found += [_frontier(board, one, ranked, of, beats, facts) for one, of in prices]
    return found


def _beats(runs: Sequence[RunEntry]) -> NDArray[np.bool_]:
    """Return whether run i has a significantly higher score than run j."""
    import numpy as np

    means, p_values = pairwise(*scores(runs))
    with np.errstate(invalid="ignore"):
        return np.asarray((means > 0) & (p_values < LEVEL))


def _frontier(
    board: Board,
    price: Price,
    ranked: Sequence[Standing],
    priced: Sequence[tuple[int, float]],
    beats: NDArray[np.bool_],
    facts: FactBook,
) -> Frontier:
    rows = []
    for number, (index, value) in enumerate(priced[:_MOST_POINTS], 1):
        beaten = any(other <= value and beats[i, index] for i, other in priced if i != index)
        method = facts.find(ranked[index].run.bare_name).method or ""
        rows.append(FrontierRow(number, ranked[index], method, value, not beaten))
    places = []
    for row in rows:
        estimate = row.standing.run.metric(board.primary)
        assert estimate is not None
        places.append(
            Place(
                row.number, row.standing.run.model_name, row.price, estimate.value, estimate.low,
                estimate.high, method_class(row.method) if row.method else "other",
                row.on_frontier,
            )
        )  # fmt: skip
    chart = scatter(
        places, f"{price.label} and score on {board.label}", f"frontier-{price.key}-{board.key}",
        price.label,
    )  # fmt: skip
    return Frontier(board, price, rows, chart, len(ranked) - len(priced))


def _context(site: SiteData) -> dict[str, Any] | None:
    found = frontiers(site.boards, site.facts)
    return {"frontiers": found} if found else None


FRONTIER_VIEW = SiteView("cost.html", "Cost", "cost.html", _context)
