"""The rows of the overview: one per measured run and per reported result, for page and download."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval.leaderboard.boards import is_baseline
from recode_eval.leaderboard.publishing import public
from recode_eval.leaderboard.text import shown, slug
from recode_eval.metrics import downloaded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.contamination import Exposure
    from recode_eval.leaderboard.model_facts import FactBook, ReportedRow
    from recode_eval.schemas.results import CostSection, StoredEstimate

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the overview; unknown values are None."""

    model: str
    model_page: str | None
    task: str
    language: str | None
    """The programming language of the answers; None: a reported row on a task without runs."""
    task_page: str | None
    board: str
    board_key: str
    """Empty for a reported row."""
    rank: str
    rank_best: int | None
    unranked: str
    base: str | None
    method: str | None
    size_b: float | None
    released: str | None
    exposure: Exposure | None
    """What the model may have seen before; None for a row that was not measured here."""
    backend: str | None
    date: str | None
    run: str | None
    metrics: Mapping[str, StoredEstimate | Mapping[str, Any] | None]
    n: int | None
    problems: int | None
    unscored: int | None
    suspicious: int | None
    suspicious_passed: int | None
    unsplit: int | None
    isolation: str | None
    faulty: int | None
    source: str
    """`measured`, or `reported`."""
    citation: str = ""
    tokens: float | None = None
    """Completion tokens per sample."""
    baseline: bool = False
    """Whether the answers are built in."""
    primary: str | None = None
    """The metric that ranks its board."""
    cost: CostSection | None = None
    """What the answers cost, by the user's own prices."""

    @property
    def contamination(self) -> str | None:
        """The state of `exposure`."""
        return None if self.exposure is None else self.exposure.state

    @property
    def size(self) -> str | None:
        """The size for people."""
        return None if self.size_b is None else f"{self.size_b:g}B"


def rows(
    boards: Iterable[Board],
    reported: Iterable[ReportedRow],
    facts: FactBook,
    exposures: Mapping[str, Exposure],
) -> tuple[Row, ...]:
    """Return the rows in the order of the overview: boards, each best first, then reported."""
    measured = [
        _measured(board, standing, facts, exposures[standing.run.key])
        for board in boards
        for standing in board.standings
    ]
    known = {row.task: row for row in measured}
    return (*measured, *(_reported(row, known.get(row.task)) for row in reported))


def _measured(board: Board, standing: Standing, facts: FactBook, exposure: Exposure) -> Row:
    run, rank = standing.run, standing.rank
    known = facts.find(run.bare_name)
    counts = run.counts
    return Row(
        model=run.model_name,
        model_page=f"models/{run.model_slug}.html",
        task=run.task,
        language=run.results.task.language,
        task_page=f"tasks/{slug(run.task)}.html",
        board=board.label,
        board_key=board.key,
        rank=str(rank) if rank else "-",
        rank_best=rank.best if rank else None,
        unranked=standing.unranked,
        base=known.base,
        method=known.method,
        size_b=known.size_b,
        released=known.released,
        exposure=exposure,
        backend=run.results.model.backend,
        date=run.results.created[:10],
        run=run.key,
        metrics=run.results.metrics,
        n=run.stored.n,
        problems=counts.problems,
        unscored=counts.unscored,
        suspicious=counts.suspicious,
        suspicious_passed=run.suspicious_passed,
        unsplit=run.unsplit,
        isolation=board.isolation,
        faulty=counts.faulty_problems,
        source="measured",
        tokens=run.stored.per_sample("completion_tokens"),
        baseline=is_baseline(run),
        primary=board.primary,
        cost=run.results.usage.cost,
    )


def _reported(row: ReportedRow, same: Row | None) -> Row:
    """Return a reported row; `same` is a measured one of the same task, if there is one."""
    metrics = {
        name: {"value": value, "low": None, "high": None} for name, value in row.metrics.items()
    }
    return Row(
        model=row.model, model_page=None, task=row.task,
        language=None if same is None else same.language,
        task_page=None if same is None else same.task_page, board="", board_key="", rank="-",
        rank_best=None, unranked="reported by others", base=row.base, method=row.method,
        size_b=row.size_b, released=None, exposure=None,
        backend=None, date=None, run=None, metrics=metrics,
        n=None, problems=None, unscored=None, suspicious=None, suspicious_passed=None,
        unsplit=None, isolation=None, faulty=None, source="reported", citation=row.source,
    )  # fmt: skip


def to_json(found: Sequence[Row], broken: Sequence[Any]) -> str:
    """Return the download: every row with all its metrics, and the excluded runs."""
    content = {
        "rows": [_plain(row) for row in found],
        "left_out": [
            {"run": shown(public(b.where)), "reason": shown(public(b.reason))} for b in broken
        ],
    }
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _plain(row: Row) -> dict[str, Any]:
    return {
        "model": row.model, "task": row.task, "language": row.language, "board": row.board,
        "board_key": row.board_key, "primary": row.primary,
        "rank": row.rank, "rank_best": row.rank_best, "unranked": row.unranked, "base": row.base,
        "method": row.method, "size_b": row.size_b, "released": row.released,
        "contamination": row.exposure.state if row.exposure else None,
        "problems_possibly_seen": row.exposure.seen if row.exposure else None,
        "backend": row.backend, "date": row.date, "run": row.run, "n": row.n,
        "problems": row.problems, "unscored": row.unscored, "suspicious": row.suspicious,
        "suspicious_passed": row.suspicious_passed, "unsplit": row.unsplit,
        "isolation": row.isolation, "faulty_problems": row.faulty, "source": row.source,
        "citation": row.citation,
        "cost": row.cost.total if row.cost else None,
        "cost_per_solved": row.cost.per_solved if row.cost else None,
        "currency": row.cost.currency if row.cost else None,
        "prices_as_of": row.cost.as_of if row.cost else None,
        "tokens_per_sample": row.tokens,
        "metrics": {
            key: msgspec.to_builtins(value) for key, value in row.metrics.items() if value
        },
    }  # fmt: skip


def to_csv(found: Sequence[Row]) -> str:
    """Return the download as CSV; shares from 0 to 1, an empty cell without a value.

    Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    fields = [key for key in _plain(found[0]) if key != "metrics"] if found else []
    names = downloaded()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([*fields, *(f"{m}{part}" for m in names for part in ("", "_low", "_high"))])
    for row in found:
        plain = _plain(row)
        cells = [_cell(plain[key]) for key in fields]
        for name in names:
            estimate = plain["metrics"].get(name) or {}
            cells += [_cell(estimate.get(part)) for part in ("value", "low", "high")]
        writer.writerow(cells)
    return stream.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = shown(value).replace("\n", " ")
    return f"'{text}" if text.startswith(_FORMULA) else text
