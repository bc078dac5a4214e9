"""Boards: the runs that may be compared, since everything but the model is the same.

Task version, data, prompt, problems chosen, sampling (the seed aside) and the rules of judging must
agree. A run with more than 1 % unscored samples is shown and not ranked.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.leaderboard.ranking import Rank, ranks
from recode_eval.leaderboard.text import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.loading import RunEntry

MOST_UNSCORED = 0.01
"""Share of unscored samples above which a comparison is not valid."""


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

    @property
    def first(self) -> RunEntry:
        """Any of the runs: what the board shares is the same in all."""
        return self.standings[0].run

    @property
    def task(self) -> str:
        """The task's name."""
        return self.first.task

    @property
    def label(self) -> str:
        """What the board is called."""
        return f"{self.task} #{self.key[:4]}"

    @property
    def made_with(self) -> str:
        """Versions of the harness and sandboxes, which may differ between the runs."""
        versions: set[str] = set()
        tiers: set[str] = set()
        for standing in self.standings:
            invocations = standing.run.results["invocations"]
            known = [i.get("recode_eval") for i in invocations if isinstance(i, dict)]
            versions.update(str(version) for version in known if version)
            tiers.add(str((standing.run.results["sandbox"] or {}).get("tier", "none")))
        return (
            f"recode-eval {', '.join(sorted(versions)) or 'unknown'}; "
            f"sandbox {', '.join(sorted(tiers))}"
        )

    @property
    def primary(self) -> str:
        """The metric that ranks."""
        return self.first.primary


def conditions(run: RunEntry) -> dict[str, Any]:
    """Return everything that must agree for two runs to be compared."""
    identity = {key: value for key, value in run.identity.items() if key != "model"}
    sampling = {key: value for key, value in identity["sampling"].items() if key != "seed"}
    return {
        **identity,
        "sampling": sampling,
        "scoring": run.results["scoring"]["hash"],
        "problems": digest(sorted(p.id for p in run.problems)),
        "clusters": digest(sorted([p.id, p.cluster] for p in run.problems)),
        "tested": run.tested,
    }


def boards(runs: Iterable[RunEntry]) -> list[Board]:
    """Group and rank; in the order of task, number of runs (most first) and key."""
    groups: dict[str, list[RunEntry]] = defaultdict(list)
    for run in runs:
        groups[digest(conditions(run))].append(run)
    found = [_board(key, members) for key, members in groups.items()]
    return sorted(found, key=lambda b: (b.task, -len(b.standings), b.key))


def _board(key: str, members: Sequence[RunEntry]) -> Board:
    reasons = {run.key: _why_unranked(run) for run in members}
    ranked = [run for run in members if not reasons[run.key]]
    found = ranks(*_scores(ranked)) if ranked else []
    places = dict(zip((run.key for run in ranked), found, strict=True))
    standings = [Standing(run, places.get(run.key), reasons[run.key]) for run in members]
    return Board(key, conditions(members[0]), tuple(sorted(standings, key=_order)))


def _why_unranked(run: RunEntry) -> str:
    if run.metric(run.primary) is None:
        return "no score"
    if run.unscored_share > MOST_UNSCORED:
        return f"{100 * run.unscored_share:.1f} % of the samples are unscored"
    return ""


def _scores(runs: Sequence[RunEntry]) -> tuple[list[list[float | None]], list[str]]:
    """Return the runs' scores of the same problems in the same order, and these' clusters."""
    order = sorted(problem.id for problem in runs[0].problems)
    clusters = {problem.id: problem.cluster for problem in runs[0].problems}
    scores = []
    for run in runs:
        found = {p.id: p.pass_rate if run.tested else p.es for p in run.problems}
        scores.append([found[key] for key in order])
    return scores, [clusters[key] for key in order]


def _order(standing: Standing) -> tuple[bool, float, str, str]:
    estimate = standing.run.metric(standing.run.primary)
    value = estimate["value"] if estimate else -1.0
    return standing.rank is None, -value, standing.run.model_name, standing.run.key
