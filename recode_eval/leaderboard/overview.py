"""What the first page shows: one board's ranking, its columns, and what can be switched on.

The page has every row of the site. Those of the main board are shown at first; the others, the
built-in baselines and published results are a click away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from recode_eval.leaderboard.boards import main_board
from recode_eval.metrics import metric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.leaderboard.boards import Board
    from recode_eval.leaderboard.rows import Row

_FIRST_METRICS: Final = ("upass@1", "es_star")
_MORE_METRICS: Final = ("pass@5", "es")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table beside the model's name."""

    key: str
    """In the address, and of the cells."""
    heading: str
    kind: str = "number"
    """`number` or `text`: how it sorts."""
    shown: bool = True
    """Whether it is chosen before anybody chose columns."""
    used: bool = True
    """Whether a row that is shown at first has a value."""
    metric: str = ""
    bar: bool = False
    """Whether its values are drawn, too."""

    @property
    def visible(self) -> bool:
        """Whether the first table has it: a column of dashes says nothing."""
        return self.shown and self.used


@dataclass(frozen=True, slots=True)
class Tab:
    """A board that can be chosen."""

    key: str
    label: str
    unusual: str
    runs: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page's table."""

    columns: tuple[Column, ...]
    tabs: tuple[Tab, ...]
    main: Board
    baselines: int
    """Rows of built-in answers."""
    reported: int
    """Rows of published results."""
    with_baselines: bool
    """Whether baselines are shown at first: the main board has nothing else."""

    def hidden(self, row: Row) -> bool:
        """Whether a row is not shown at first."""
        if row.board_key != self.main.key:
            return True
        return row.baseline and not self.with_baselines


def overview(boards: Sequence[Board], rows: Sequence[Row]) -> Overview:
    """Return the table of all boards; `boards` has one at least."""
    main = main_board(boards)
    first = [main, *(board for board in boards if board is not main)]
    here = [row for row in rows if row.board_key == main.key]
    return Overview(
        columns=tuple(
            replace(column, used=_is_used(column, here))
            for column in _columns(main)
            if _is_used(column, rows)
        ),
        tabs=tuple(Tab(b.key, b.task, b.unusual, len(b.standings)) for b in first),
        main=main,
        baselines=sum(row.baseline for row in rows),
        reported=sum(row.source != "measured" for row in rows),
        with_baselines=all(row.baseline for row in here),
    )


def _columns(main: Board) -> list[Column]:
    ranking = main.primary
    names = dict.fromkeys((ranking, *_FIRST_METRICS, *_MORE_METRICS, "pass@1"))
    return [
        Column("rank", "Rank"),
        *(
            Column(
                name, metric(name).heading, metric=name,
                shown=name == ranking or name in _FIRST_METRICS, bar=name == ranking,
            )
            for name in names
        ),
        Column("tokens", "Tokens"),
        Column("size", "Size"),
        Column("method", "Method", "text"),
        Column("base", "Base", "text", shown=False),
        Column("cost", "Cost per solved"),
        Column("n", "n", shown=False),
        Column("unscored", "Unscored", shown=False),
        Column("suspicious", "Suspicious", shown=False),
        Column("backend", "Backend", "text", shown=False),
        Column("date", "Date of the run", "text", shown=False),
        Column("released", "Released", "text", shown=False),
    ]  # fmt: skip


def _is_used(column: Column, rows: Sequence[Row]) -> bool:
    """Whether any row has a value."""
    value = _VALUES.get(column.key)
    if value is not None:
        return any(value(row) for row in rows)
    return any(row.metrics.get(column.metric) for row in rows) if column.metric else True


_VALUES: Final[dict[str, Callable[[Row], object]]] = {
    "rank": lambda _: True,
    "tokens": lambda row: row.tokens is not None,
    "size": lambda row: row.size,
    "method": lambda row: row.method and not row.baseline,
    "base": lambda row: row.base and not row.baseline,
    "cost": lambda row: row.cost,
    "n": lambda row: row.n,
    "unscored": lambda row: row.unscored,
    "suspicious": lambda row: row.suspicious,
    "backend": lambda row: row.backend,
    "date": lambda row: row.date,
    "released": lambda row: row.released,
}
