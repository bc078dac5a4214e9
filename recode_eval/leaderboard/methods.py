"""RL against SFT: the result of each training method per base model, on the same problems.

Base model and method are facts about models (`yamls`), not guesses from names. Models of one base
and one method on one board are its trainings: shown each, and pooled; runs of one model are not.
Only runs of one board are paired.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.comparability import model_key
from recode_eval.comparison.pooling import adjusted, compared, evidence, pooled
from recode_eval.leaderboard.text import slug
from recode_eval.leaderboard.where import where
from recode_eval.metrics import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from recode_eval.comparison.pooling import Change, Evidence
    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.model_facts import FactBook, ReportedRow
    from recode_eval.leaderboard.where import Where

RETENTION = "humaneval"
"""Tasks whose names begin so ask what a model could do before: a loss there is forgetting."""
_UNTRAINED = frozenset({"untrained", "base", "none", "instruct"})
_NO_METHOD = frozenset({"baseline"})
USUAL = ("grpo", "dapo")
"""The methods of reinforcement learning that have a place of their own in every order."""


class Role(IntEnum):
    """What a method is compared with depends on its role; the order is that of the rows."""

    BASE = 0
    SFT = 1
    OTHER = 2
    """Reinforcement learning, and what else there is: compared with the base and with SFT."""


def role(method: str) -> Role:
    """Return the role of a method by its name in the facts."""
    name = method.strip().casefold()
    if name in _UNTRAINED:
        return Role.BASE
    return Role.SFT if name.startswith("sft") else Role.OTHER


def method_class(method: str) -> str:
    """Return what colours a method: `base`, `sft`, `grpo`, `dapo` or `other`."""
    name = method.casefold()
    usual = next((known for known in USUAL if name.startswith(known)), "other")
    return {Role.BASE: "base", Role.SFT: "sft"}.get(role(method), usual)


@dataclass(frozen=True, slots=True)
class MethodRun:
    """One run of a method; `why_not` says why it is in no comparison."""

    standing: Standing
    metrics: Mapping[str, Mapping[str, Any] | None]
    why_not: str


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A method on a board: its runs and their pooled result."""

    method: str
    role: Role
    runs: tuple[MethodRun, ...]
    metrics: Mapping[str, Mapping[str, Any] | None]
    """Pooled over the runs that count; empty if none does."""

    @property
    def counted(self) -> tuple[MethodRun, ...]:
        """The runs that are compared."""
        return tuple(run for run in self.runs if not run.why_not)

    def spread(self, metric: str) -> tuple[float, float] | None:
        """Return the lowest and the highest value of the runs that count, if there are several."""
        found = [e["value"] for run in self.counted if (e := run.metrics.get(metric)) is not None]
        return (min(found), max(found)) if len(found) > 1 else None


@dataclass(frozen=True, slots=True)
class Delta:
    """One method minus another, in every metric that the board has."""

    method: str
    reference: str
    changes: Mapping[str, Change | None]


@dataclass(frozen=True, slots=True)
class Section:
    """A base model's methods on one board."""

    board: Board
    metrics: tuple[str, ...]
    rows: tuple[MethodRow, ...]
    deltas: tuple[Delta, ...]
    where: tuple[Where, ...] = ()
    """Where reinforcement learning differs from SFT, or from the base without any."""
    retention: Section | None = None
    """Where the same methods were asked what the base could do before."""

    @property
    def keeps(self) -> bool:
        """Whether the board itself measures retention."""
        return self.board.task.startswith(RETENTION)

    def row(self, method: str) -> MethodRow | None:
        """Return the row of a method, if it exists."""
        name = method.casefold()
        return next((row for row in self.rows if row.method.casefold() == name), None)

    def delta(self, method: str, reference: str) -> Delta | None:
        """Return the difference of two methods, if it exists."""
        pair = method.casefold(), reference.casefold()
        return next(
            (d for d in self.deltas if (d.method.casefold(), d.reference.casefold()) == pair), None
        )

    def change(self, delta: Delta) -> Change | None:
        """Return a difference in what the board ranks by."""
        return delta.changes.get(self.board.primary)

    def kept(self, delta: Delta) -> Change | None:
        """Return what the same two methods differ by in retention."""
        if self.retention is None:
            return None
        found = self.retention.delta(delta.method, delta.reference)
        return None if found is None else self.retention.change(found)

    @property
    def summary(self) -> list[tuple[MethodRow, Change | None, Change | None, Change | None]]:
        """The trained methods: difference from the base, from SFT, and in retention."""
        base = next((row for row in self.rows if row.role is Role.BASE), None)
        tuned = next((row for row in self.rows if row.role is Role.SFT), None)
        found = []
        for row in self.rows:
            if row.role is Role.BASE:
                continue
            to_base = self.delta(row.method, base.method) if base else None
            to_tuned = self.delta(row.method, tuned.method) if tuned else None
            found.append(
                (
                    row,
                    self.change(to_base) if to_base else None,
                    self.change(to_tuned) if to_tuned else None,
                    self.kept(to_base) if to_base else None,
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class BaseModelBlock:
    """One base model."""

    base: str
    sections: tuple[Section, ...]

    @property
    def anchor(self) -> str:
        """The id of the block's place on the page."""
        return f"base-{slug(self.base)}"

    @property
    def tasks(self) -> list[str]:
        """The tasks of its boards."""
        return sorted({section.board.task for section in self.sections})

    @property
    def summed(self) -> tuple[Section, ...]:
        """The boards for a summary: those of gain, or all if no board measures gain."""
        return tuple(s for s in self.sections if not s.keeps) or self.sections


def blocks(boards: Iterable[Board], facts: FactBook) -> list[BaseModelBlock]:
    """Return a block for every base model with two methods on one board, by name."""
    sections: dict[str, list[Section]] = defaultdict(list)
    for board in boards:
        for base, members in _by_base(board, facts).items():
            if len(members) > 1:
                sections[base].append(_section(board, members))
    return [
        BaseModelBlock(base, _with_retention(items)) for base, items in sorted(sections.items())
    ]


def _by_base(board: Board, facts: FactBook) -> dict[str, dict[str, list[Standing]]]:
    """Return the board's runs by base and method, as the facts name them first."""
    found: dict[str, dict[str, list[Standing]]] = defaultdict(dict)
    names: dict[tuple[str, str], str] = {}
    for standing in board.standings:
        known = facts.find(standing.run.bare_name)
        if known.base is None or known.method is None or known.method.casefold() in _NO_METHOD:
            continue
        key = "" if role(known.method) is Role.BASE else known.method.casefold()
        name = names.setdefault((known.base, key), known.method)
        found[known.base].setdefault(name, []).append(standing)
    return found


def _section(board: Board, members: Mapping[str, Sequence[Standing]]) -> Section:
    found = [_row(board, method, standings) for method, standings in members.items()]
    found.sort(key=lambda pair: _rank(pair[0].method))
    rows = tuple(row for row, _ in found)
    metrics = tuple(m for m in _columns(board) if any(row.metrics.get(m) for row in rows))
    return Section(board, metrics, rows, _deltas(found, metrics), tuple(_where(board, found)))


def _where(board: Board, rows: Sequence[tuple[MethodRow, Evidence | None]]) -> Iterator[Where]:
    """Yield where each method that is neither base nor SFT differs from SFT, or from the base."""
    counted = [(row, found) for row, found in rows if found is not None]
    references = [pair for pair in counted if pair[0].role is Role.SFT] or [
        pair for pair in counted if pair[0].role is Role.BASE
    ]
    for number, (row, new) in enumerate(counted):
        if row.role is Role.OTHER:
            for reference, old in references[:1]:
                name = f"{slug(row.method)}-{number}-{board.key}"
                yield from where(board, (row.method, new), (reference.method, old), name)


def _columns(board: Board) -> tuple[str, ...]:
    return METHODS if board.primary in METHODS else (board.primary, *METHODS)


def _row(
    board: Board, method: str, standings: Iterable[Standing]
) -> tuple[MethodRow, Evidence | None]:
    """Return a method's row, and what it is compared by; None if none of its runs counts."""
    runs: list[MethodRun] = []
    members: dict[str, list[Evidence]] = defaultdict(list)
    for standing in sorted(standings, key=lambda s: (s.run.model_name, s.run.key)):
        found = evidence(standing.run.problems)
        metrics = {name: found.estimate(name) for name in _columns(board)}
        runs.append(MethodRun(standing, metrics, standing.unranked))
        if not standing.unranked:
            members[model_key(standing.run.results)].append(found)
    trainings = [pooled(same) for same in members.values()]
    trained = role(method) is not Role.BASE
    together = pooled(trainings, trainings=trained) if trainings else None
    metrics = {name: together.estimate(name) for name in _columns(board)} if together else {}
    return MethodRow(method, role(method), tuple(runs), metrics), together


def _rank(method: str) -> tuple[int, int, str]:
    """Return what puts methods in order: base, SFT, GRPO, DAPO, others."""
    name = method.casefold()
    usual = next((i for i, known in enumerate(USUAL) if name.startswith(known)), len(USUAL))
    return role(method), usual, name


def _deltas(
    rows: Sequence[tuple[MethodRow, Evidence | None]], metrics: Sequence[str]
) -> tuple[Delta, ...]:
    """Return every method against the base, then what is neither against SFT.

    The tests of all of them together go through Holm's procedure.
    """
    pairs = [
        (row, reference)
        for kind in (Role.BASE, Role.SFT)
        for reference in rows
        if reference[0].role is kind
        for row in rows
        if row[0].role > kind
    ]
    changes = [
        None if new is None or old is None else compared(old, new, metric)
        for (_, new), (_, old) in pairs
        for metric in metrics
    ]
    tested = iter(adjusted(changes, list(metrics) * len(pairs)))
    return tuple(
        Delta(row.method, reference.method, {metric: next(tested) for metric in metrics})
        for (row, _), (reference, _) in pairs
    )


def _with_retention(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Return the sections, gain before retention, with the retention board that fits each best."""
    keeping = [section for section in sections if section.keeps]
    gains = [
        replace(section, retention=max(keeping, key=lambda k, s=section: _fit(s, k), default=None))  # type: ignore[misc]
        for section in sections
        if not section.keeps
    ]
    return (*gains, *keeping)


def _fit(gain: Section, kept: Section) -> tuple[int, bool, bool, str]:
    """Return how well a board of retention goes with one of gain: methods, sampling, then name."""
    common = {row.method.casefold() for row in gain.rows} & {
        row.method.casefold() for row in kept.rows
    }
    first, second = gain.board.conditions["sampling"], kept.board.conditions["sampling"]
    same = first.get("temperature") == second.get("temperature")
    plus = kept.board.task.endswith("plus")
    return len(common), same, plus, kept.board.key


@dataclass(frozen=True, slots=True)
class ReportedMethod:
    """Published figures of one method, without intervals, and their plain differences."""

    base: str
    method: str
    figures: Mapping[tuple[str, str], tuple[float, float | None]]
    """By task and metric: the share, and what it is more than the untrained base's."""


def reported_methods(rows: Iterable[ReportedRow]) -> list[ReportedMethod]:
    """Return the published results of base models with more than one method.

    The differences are computed here: those that are printed need not agree with the figures.
    """
    groups: dict[str, dict[str, dict[tuple[str, str], float]]] = defaultdict(dict)
    for row in rows:
        figures = {(row.task, metric): value for metric, value in row.metrics.items()}
        groups[row.base].setdefault(row.method, {}).update(figures)
    found = []
    for base, members in sorted(groups.items()):
        if len(members) < 2:
            continue
        start = next((m for name, m in members.items() if role(name) is Role.BASE), {})
        for method in sorted(members, key=lambda name: _rank(name)):
            found.append(
                ReportedMethod(
                    base,
                    method,
                    {
                        key: (
                            value,
                            value - start[key]
                            if key in start and role(method) is not Role.BASE
                            else None,
                        )
                        for key, value in members[method].items()
                    },
                )
            )
    return found


def to_json(found: Iterable[BaseModelBlock]) -> list[dict[str, Any]]:
    """Return everything of the view as plain values, for the download."""
    return [
        {
            "base": block.base,
            "board": section.board.label,
            "board_key": section.board.key,
            "methods": [
                {
                    "method": row.method,
                    "runs": [run.standing.run.key for run in row.runs],
                    "counted": [run.standing.run.key for run in row.counted],
                    "metrics": dict(row.metrics),
                }
                for row in section.rows
            ],
            "differences": [
                {
                    "method": delta.method,
                    "reference": delta.reference,
                    "metrics": {
                        name: None if item is None else _change_json(item)
                        for name, item in delta.changes.items()
                    },
                }
                for delta in section.deltas
            ],
        }
        for block in found
        for section in block.sections
    ]


def _change_json(item: Change) -> dict[str, Any]:
    return {
        "difference": item.value,
        "low": item.low,
        "high": item.high,
        "p_value": item.p,
        "p_holm": item.p_holm,
        "minimum_detectable_difference": item.detectable,
        "problems": item.problems,
        "verdict": item.verdict,
        "about": str(item.scope),
        "trainings": list(item.trainings),
        "trainings_share": item.trainings_share,
    }
