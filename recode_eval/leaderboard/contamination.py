"""Contamination: whether a model may have seen in training what a task asks about.

A model's release date is held against the day on which each problem's subject became public: the
data set's publication (leaderboard/dates.yaml), or for a change of a real library the earliest day
on which it can have been public (`changed_after` of the row). Released on that day or later:
marked. Never left out for it: release comes after the end of training, so that the mark says `may`,
and its absence is no proof.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError
from recode_eval.leaderboard.model_facts import read_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.model_facts import FactBook
    from recode_eval.leaderboard.sources import Sources

UNKNOWN, BEFORE, AFTER = "unknown", "before the data", "after the data"


@dataclass(frozen=True, slots=True)
class Exposure:
    """The problems that a run's model may have seen."""

    released: str | None
    """The model's date (ISO)."""
    since: str | None
    """The earliest day of any of the problems (ISO)."""
    seen: int
    """Problems that were public when the model was released."""
    dated: int
    """Problems whose day is known."""
    problems: int

    @property
    def state(self) -> str:
        """`before the data`, `after the data` (of at least one problem), or `unknown`."""
        if self.released is None or not self.dated:
            return UNKNOWN
        return AFTER if self.seen else BEFORE

    @property
    def words(self) -> str:
        """The comparison for people."""
        if self.released is None or not self.dated:
            missing = "the model's release date" if self.released is None else "the data's date"
            return f"not known: {missing} is missing"
        dates = f"model released {self.released}, data public since {self.since}"
        if not self.seen:
            part = f" (of {self.dated} problems with a date)" if self.dated < self.problems else ""
            return f"{dates}: the model is older{part}"
        return f"{dates}: it may have seen {self.seen} of {self.problems} problems"


class PublicDates:
    """When data sets became public, and the changes that rows are about."""

    def __init__(self, tasks: Mapping[str, date]) -> None:
        """`tasks` by name; rows bring the days of their changes."""
        self._tasks = dict(tasks)

    @classmethod
    def read(cls, path: Path) -> PublicDates:
        """Read a file such as leaderboard/dates.yaml; raises `DataError` naming the entry."""
        tasks = read_entries(path, "tasks", lambda raw: (str(raw.get("task")), _day(raw)))
        if len(dict(tasks)) != len(tasks):
            raise DataError(f"{path}: an entry occurs twice.")
        return cls(dict(tasks))

    def of(self, run: RunEntry, sources: Sources) -> list[date]:
        """Return the known days of a run's problems, ascending.

        The releases that a problem is about are in the task's rows, which must be here.
        """
        if run.task in self._tasks:
            return [self._tasks[run.task]] * len(run.problems)
        if not any("changed" in problem.tags for problem in run.problems):
            return []
        rows, _ = sources.problems(run)
        days = (rows[problem.id].changed_after for problem in run.problems if problem.id in rows)
        return sorted(day for day in days if day is not None)

    def changes(self, run: RunEntry, sources: Sources) -> dict[str, date]:
        """Return the day before which each problem's subject cannot have been public, where known.

        A row's own day counts before that of its data set: a data set that is published later asks
        about changes that were public before.
        """
        rows, _ = sources.problems(run)
        found = {
            problem.id: day
            for problem in run.problems
            if problem.id in rows and (day := rows[problem.id].changed_after) is not None
        }
        if found or run.task not in self._tasks:
            return found
        return dict.fromkeys((problem.id for problem in run.problems), self._tasks[run.task])


def exposures(
    runs: Iterable[RunEntry], facts: FactBook, dates: PublicDates, sources: Sources
) -> dict[str, Exposure]:
    """Return what every run's model may have seen, by the run's key."""
    known: dict[tuple[str, ...], Sequence[date]] = {}
    found = {}
    for run in runs:
        chosen = run.task, str(run.identity["data"]), *sorted(p.id for p in run.problems)
        if chosen not in known:
            known[chosen] = dates.of(run, sources)
        days = known[chosen]
        released = facts.find(run.bare_name).released
        seen = 0 if released is None else bisect_right(days, date.fromisoformat(released))
        since = days[0].isoformat() if days else None
        found[run.key] = Exposure(released, since, seen, len(days), len(run.problems))
    return found


def _day(raw: Mapping[str, Any]) -> date:
    day = raw.get("public")
    if type(day) is not date:
        raise ValueError("`public` must be a date such as 2024-09-18")
    return day
