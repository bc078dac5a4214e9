"""The page on the effect of documentation: models by arms, what each changes, and what it takes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.differences import MetricFamily
from recode_eval.comparison.lift import arm_order, cost_of, currency_of, lifts
from recode_eval.comparison.lift_report import STALE, cautions
from recode_eval.comparison.pooling import Change
from recode_eval.conversations.settings import in_short
from recode_eval.leaderboard.charts import LONGEST_LABEL, Whisker, forest_plot
from recode_eval.leaderboard.site_views import SiteView
from recode_eval.leaderboard.text import digest
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from recode_eval.comparison.differences import MetricDifference
    from recode_eval.comparison.lift import ArmRun, Lift
    from recode_eval.leaderboard.site_views import SiteData
    from recode_eval.schemas.results import StoredEstimate

_MOST_ROWS = 40
"""Of a forest plot; the table beside it has all."""


@dataclass(frozen=True, slots=True)
class LiftCell:
    """One arm of one model."""

    estimate: StoredEstimate | None
    """Of the primary metric."""
    against: Mapping[str, Change]
    """By reference, in the primary metric."""
    stale: StoredEstimate | None
    stale_change: Change | None
    """Against the section's reference."""
    problems: int
    left_out: int
    prompt_tokens: float | None
    completion_tokens: float | None
    cost: str | None
    """Per solved problem, with its currency."""
    run: str
    """The run's key, for links."""


@dataclass(frozen=True, slots=True)
class LiftRow:
    """One model: a cell for each of its arms."""

    model: str
    slug: str
    sampling: str
    conversation: str
    """Turns and tools in words, empty where every answer stands alone; hostile text."""
    turns: str
    """The same in short."""
    cells: Mapping[str, LiftCell]
    cautions: Sequence[str]


@dataclass(frozen=True, slots=True)
class LiftSection:
    """One task: models by arms."""

    task: str
    key: str
    metric: str
    arms: Sequence[str]
    reference: str
    """`none` where some model has it: what the chart and the changes of the old API are against."""
    references: Sequence[str]
    rows: Sequence[LiftRow]
    chart: Markup

    @property
    def not_in_chart(self) -> Sequence[LiftRow]:
        """The rows without the arm that the chart is against."""
        return [row for row in self.rows if self.reference not in row.cells]

    @property
    def has_stale(self) -> bool:
        """Whether some arm has the measure of the old API."""
        return any(cell.stale is not None for row in self.rows for cell in row.cells.values())

    @property
    def has_cost(self) -> bool:
        """Whether the cost of some arm is known."""
        return any(cell.cost is not None for row in self.rows for cell in row.cells.values())


def sections(site: SiteData) -> list[LiftSection]:
    """Return a section per task on which some model has two arms."""
    runs = {
        id(standing.run.stored): standing.run
        for board in site.boards
        for standing in board.standings
    }
    found: dict[str, list[Lift]] = defaultdict(list)
    for item in lifts([run.stored for run in runs.values()], strict=False):
        found[item.task].append(item)
    return [_section(task, items, runs) for task, items in sorted(found.items())]


def _section(task: str, items: Sequence[Lift], runs: Mapping[int, Any]) -> LiftSection:
    references = sorted({x.reference for item in items for x in item.effects}, key=arm_order)
    reference = references[0]
    arms = sorted({arm.name for item in items for arm in item.arms}, key=arm_order)
    rows = sorted(
        (_row(item, reference, runs) for item in items),
        key=lambda row: (row.model, row.conversation, row.sampling),
    )
    whiskers = [
        Whisker(_chart_label(row, name, rows), cell.against[reference].value,
                cell.against[reference].low, cell.against[reference].high)
        for row in rows
        for name, cell in sorted(row.cells.items(), key=lambda cell: arm_order(cell[0]))
        if reference in cell.against
    ]  # fmt: skip
    key = digest(task)
    return LiftSection(
        task,
        key,
        items[0].effects[0].primary.metric,
        tuple(arms),
        reference,
        tuple(references),
        tuple(rows),
        forest_plot(
            whiskers[:_MOST_ROWS],
            f"What each arm changes on {task} against {reference}, points with 95 % intervals",
            f"lift-{key}",
        ),
    )


def _chart_label(row: LiftRow, arm: str, rows: Sequence[LiftRow]) -> str:
    """Name an arm of a row; the model's name gives way, and other rows of it are told apart."""
    alike = [other for other in rows if other.model == row.model]
    parts = []
    if len({other.sampling for other in alike}) > 1:
        parts.append(row.sampling)
    if len({other.conversation for other in alike}) > 1:
        parts.append(row.turns or "1 turn")
    end = f"{' (' + ', '.join(parts) + ')' if parts else ''}: {one_line(arm, 24)}"
    return one_line(row.model, max(8, LONGEST_LABEL - len(end))) + end


def _row(item: Lift, reference: str, runs: Mapping[int, Any]) -> LiftRow:
    first = runs[id(item.arms[0].run)]
    cells = {arm.name: _cell(item, arm, reference, runs[id(arm.run)].key) for arm in item.arms}
    turns = in_short(first.identity["conversation"]) if item.conversation else ""
    return LiftRow(
        item.model, first.model_slug, item.sampling, item.conversation, turns, cells,
        cautions(item),
    )  # fmt: skip


def _cell(item: Lift, arm: ArmRun, reference: str, key: str) -> LiftCell:
    effects = [effect for effect in item.effects if effect.arm == arm.name]
    name = item.effects[0].primary.metric
    stale = next((e.metric(STALE) for e in effects if e.reference == reference), None)
    cost = cost_of(arm.run, "per_solved")
    metrics = arm.run.results.metrics
    return LiftCell(
        estimate=metrics.get(name),
        against={e.reference: _change(e.primary) for e in effects},
        stale=metrics.get(STALE),
        stale_change=None if stale is None else _change(stale),
        problems=arm.run.results.counts.problems,
        left_out=arm.left_out,
        prompt_tokens=arm.prompt_tokens,
        completion_tokens=arm.completion_tokens,
        cost=None if cost is None else f"{cost:.4g} {currency_of(arm.run) or ''}".rstrip(),
        run=key,
    )


def _change(item: MetricDifference) -> Change:
    found = item.estimate
    assert found.mean is not None
    return Change(
        found.mean, found.low, found.high, item.p_value, item.detectable, found.n, item.p_holm,
        exploratory=item.family is MetricFamily.EXPLORATORY,
    )  # fmt: skip


def _context(site: SiteData) -> dict[str, Any] | None:
    found = sections(site)
    return {"sections": found} if found else None


LIFT_VIEW = SiteView("lift.html", "Effect of docs", "lift.html", _context)
