"""Boards: comparable runs, which share everything except the model.

What must agree is ruled in `comparison.comparability`. A run with more than 1 % unscored samples is
shown and not ranked.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from recode_eval.comparison.comparability import MOST_UNSCORED, comparability_key, isolation
from recode_eval.conversations.settings import in_short
from recode_eval.documentation.arms import Kind, arm_of
from recode_eval.leaderboard.ranking import Rank, ranks
from recode_eval.leaderboard.text import digest
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.schemas.results import Results

_ISOLATIONS: Final[Mapping[str, str]] = {
    "split": "tests run in another process than the answer, out of its reach, except unsplit ones",
    "program": "tests share one process with the answer, which can reach them",
    "test": "each test shares a process with the answer, which can reach it",
}
"""What a reader must know of an isolation."""


_LONGEST_ASKED = 60
"""Characters of a label that tell how a board's runs were asked."""


def asked(results: Results) -> list[str]:
    """Return the documentation arm of a run and, where it had any, its turns and tools in short."""
    talk = results.identity.get("conversation")
    return [arm_of(results), *([] if talk is None else [in_short(talk)])]


@dataclass(frozen=True, slots=True)
class Standing:
    """A run on its board; `rank` is None if it is not ranked, and `unranked` says why."""

    run: RunEntry
    rank: Rank | None
    unranked: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """Runs that may be compared, best first."""

    key: str
    """Hash of what they share; stays the same when runs are added."""
    conditions: Mapping[str, Any]
    standings: tuple[Standing, ...]
    whole: int | None = None
    """Problems of all the data; None where nobody here knows."""

    @property
    def first(self) -> RunEntry:
        """Any of the runs: what the board shares is the same in all."""
        return self.standings[0].run

    @property
    def models(self) -> tuple[Standing, ...]:
        """The runs without built-in answers, best first; all of them where there is nothing else.

        Built-in answers say what a score means, and are no model.
        """
        found = tuple(s for s in self.standings if not is_baseline(s.run))
        return found or self.standings

    @property
    def task(self) -> str:
        """The task's name."""
        return self.first.task

    @property
    def label(self) -> str:
        """The board's name, with arm, turns and tools where they are not the usual ones."""
        name = f"{self.task} #{self.key[:4]}"
        unusual = [part for part in asked(self.first.results) if part != Kind.NOTE]
        return f"{name} ({one_line(', '.join(unusual), _LONGEST_ASKED)})" if unusual else name

    @property
    def problems(self) -> int:
        """The number of problems that were asked."""
        return len(self.first.problems)

    @property
    def partial(self) -> bool:
        """Whether only some problems of the data were asked: a smoke run, a test of an option."""
        return self.whole is not None and self.problems < self.whole

    @property
    def unusual(self) -> str:
        """What sets the board apart from a whole task asked in the usual way, in words."""
        sampling = self.conditions["sampling"]
        arm, *talk = asked(self.first.results)
        parts = [
            f"{self.problems} of {self.whole} problems" if self.partial else "",
            "no update note" if arm == Kind.NONE else "" if arm == Kind.NOTE else arm,
            *talk,
            "greedy" if sampling.get("temperature") == 0 else "",
            "" if self.first.tested else "similarity only",
        ]
        return one_line(", ".join(filter(None, parts)), _LONGEST_ASKED * 2)

    @property
    def made_with(self) -> str:
        """Versions of the harness and sandboxes, which may differ between the runs."""
        versions: set[str] = set()
        tiers: set[str] = set()
        for standing in self.standings:
            invocations = standing.run.results.invocations
            known = [i.get("recode_eval") for i in invocations]
            versions.update(str(version) for version in known if version)
            tiers.add(str((standing.run.results.sandbox or {}).get("tier", "none")))
        return (
            f"recode-eval {', '.join(sorted(versions)) or 'unknown'}; "
            f"sandbox {', '.join(sorted(tiers))}"
        )

    @property
    def conversation(self) -> str:
        """Turns and tools in words; empty where every answer stands alone."""
        return str(self.conditions.get("conversation", ""))

    @property
    def isolation(self) -> str:
        """How answers and their tests were kept apart; hostile text."""
        return isolation(self.first.results)

    @property
    def isolation_words(self) -> str:
        """The isolation for people, with what it means."""
        meaning = _ISOLATIONS.get(self.isolation)
        return f"{self.isolation}: {meaning}" if meaning else self.isolation

    @property
    def primary(self) -> str:
        """The metric that ranks."""
        return self.first.primary


def boards(runs: Iterable[RunEntry]) -> list[Board]:
    """Group and rank; in the order of task, number of runs (most first) and key."""
    groups: dict[str, list[RunEntry]] = defaultdict(list)
    conditions: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        shared = comparability_key(run.results, digest)
        key = digest(shared)
        conditions[key] = shared
        groups[key].append(run)
    found = [_board(key, conditions[key], members) for key, members in groups.items()]
    most: dict[tuple[str, str], int] = {}
    for board in found:
        data = board.task, board.conditions["data"]
        most[data] = max(most.get(data, 0), board.problems)
    sized = [replace(b, whole=most[b.task, b.conditions["data"]]) for b in found]
    return in_order(sized)


def in_order(found: Iterable[Board]) -> list[Board]:
    """Return boards by task; within one, whole ones first, then those with most runs."""
    return sorted(found, key=lambda b: (b.task, b.partial, -len(b.standings), b.key))


def main_board(found: Sequence[Board]) -> Board:
    """Return the board that a reader wants first: whole, with tests, of most models."""

    def rank(board: Board) -> tuple[bool, bool, int]:
        models = sum(not is_baseline(standing.run) for standing in board.standings)
        return not board.partial, board.first.tested, models

    return max(found, key=rank)


def is_baseline(run: RunEntry) -> bool:
    """Whether a run's answers are built in: it shows what a task's scores mean, and is no model."""
    return run.results.model.backend == "baseline"


def _board(key: str, conditions: Mapping[str, Any], members: Sequence[RunEntry]) -> Board:
    reasons = {run.key: _why_unranked(run) for run in members}
    ranked = [run for run in members if not reasons[run.key]]
    found = ranks(*scores(ranked)) if ranked else []
    places = dict(zip((run.key for run in ranked), found, strict=True))
    standings = [Standing(run, places.get(run.key), reasons[run.key]) for run in members]
    return Board(key, conditions, tuple(sorted(standings, key=_order)))


def _why_unranked(run: RunEntry) -> str:
    if run.metric(run.primary) is None:
        return "no score"
    if run.unscored_share > MOST_UNSCORED:
        return f"{100 * run.unscored_share:.1f} % of the samples are unscored"
    return ""


def scores(runs: Sequence[RunEntry]) -> tuple[list[list[float | None]], list[str]]:
    """Return the runs' scores of the same problems in the same order, and these' clusters."""
    order = sorted(problem.id for problem in runs[0].problems)
    clusters = {problem.id: problem.cluster for problem in runs[0].problems}
    scores = []
    for run in runs:
        found = {p.id: rate for p, rate in zip(run.problems, run.rates, strict=True)}
        scores.append([found[key] for key in order])
    return scores, [clusters[key] for key in order]


def _order(standing: Standing) -> tuple[bool, float, str, str]:
    estimate = standing.run.metric(standing.run.primary)
    value = estimate["value"] if estimate else -1.0
    return standing.rank is None, -value, standing.run.model_name, standing.run.key
