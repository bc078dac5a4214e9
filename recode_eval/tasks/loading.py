"""Loading a task with its rows, and finding out which of them can run here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from recode_eval.checks import of_type, path, paths
from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.plugins import unknown
from recode_eval.tasks.base import Preparing
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.tasks.base import BadRow, Problem, Task, TaskData
    from recode_eval.tasks.quarantine import Quarantine


class LoadedTask(NamedTuple):
    """A task and its rows; unpacks into `task, data`."""

    task: Task
    data: TaskData

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.spec.name

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems that can run here, in the order of the data."""
        return self.data.problems

    def problem(self, problem_id: str) -> Problem:
        """Return a problem by its id; raises `UsageError` naming the nearest id if unknown."""
        for problem in self.data.problems:
            if problem.id == problem_id:
                return problem
        raise UsageError(
            unknown(f"problem of {self.name}", problem_id, [p.id for p in self.data.problems])
        )


def load_task(
    name: str,
    data: str | Path | None = None,
    *,
    include_path: Iterable[Path] = (),
    skip_bad_rows: bool = False,
    quarantine: Quarantine | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> LoadedTask:
    """Load a task's rows, from a file or from the task's own source.

    `log` is told which rows are left out and why. The problems that `quarantine` names are too.

    Raises:
        UsageError: there is no such task.
        DataError: a row is malformed and `skip_bad_rows` is false, or none is left.
        InfrastructureError: the hub cannot be reached, or no problem can run on this machine.

    >>> task = load_task("arena-mini")
    >>> len(task.problems), task.problems[0].cluster
    (96, '[bisect.bisect_left]:[add-function]:[update-0]')
    """
    of_type("the task's name", name, str, "a text")
    of_type("skip_bad_rows", skip_bad_rows, bool, "true or false")
    task = create_task(name, paths("include_path", include_path))
    source = None if data is None else str(path(f"data of {name}", data))
    rows = task.load(source, skip_bad_rows=skip_bad_rows)
    for row in rows.bad_rows:
        log(f"left out: {row}")
    if isinstance(task, Preparing):
        rows = task.prepare(rows, log)
    for reason, where in _by_reason(rows.skipped).items():
        log(f"skipped {', '.join(where)}, cannot run here: {reason}")
    if not rows.problems and rows.skipped:
        raise InfrastructureError(f"No problem of {name} can run here: {rows.skipped[0]}")
    if quarantine is not None:
        rows = quarantine.apply(name, rows)
        if rows.quarantined:
            log(f"in quarantine, left out of {name}: {_names(rows.quarantined)}")
    return LoadedTask(task, rows)


def load_tasks(
    names: Iterable[str],
    data: Mapping[str, str | Path],
    *,
    include_path: Iterable[Path] = (),
    skip_bad_rows: bool = False,
    quarantine: Quarantine | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> list[LoadedTask]:
    """Load several tasks, each once; arguments and errors are those of `load_task`."""
    include_path = tuple(include_path)
    return [
        load_task(
            name,
            data.get(name),
            include_path=include_path,
            skip_bad_rows=skip_bad_rows,
            quarantine=quarantine,
            log=log,
        )
        for name in dict.fromkeys(names)
    ]


def _names(rows: Sequence[BadRow]) -> str:
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return ", ".join(row.where for row in rows[:5]) + more


def _by_reason(rows: Sequence[BadRow]) -> dict[str, list[str]]:
    """Return the rows of each reason: half a benchmark may lack the same wheels."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.reason, []).append(row.where)
    return reasons
