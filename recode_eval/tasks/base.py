"""Tasks: the immutable `Problem`, and what a task kind must provide to be evaluated.

A task is declared by a `task.yaml` (see `registry`); its *kind* is a class that follows `Task`. The
rest of the harness knows a benchmark through these types only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from recode_eval.errors import DataError
from recode_eval.terminal import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.sandbox.base import Program, Test


_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, apart from how it is prompted and graded."""

    id: str
    cluster: str
    """Problems of one cluster are not independent (here: they share an update)."""
    tags: Mapping[str, str]
    """What results are broken down by, for example `package` and `update_type`."""
    context: Mapping[str, Any]
    """The variables of the prompt template. Never holds an answer or a hidden test."""
    solutions: Mapping[str, str]
    """Known solutions: `reference` always, `stale` (what someone who missed the update writes)
    where the data has one. They serve the similarity scores, the baselines and `validate`."""
    payload: Any
    """What the task kind needs to build programs."""
    entry_point: str | None = None
    """Name that a solution defines, if the data says so; helps to find the code in an answer."""
    changed_after: date | None = None
    """What the problem is about was not public before this day; None: not known."""
    changed_on: date | None = None
    """What the problem is about was public by this day; None: not known."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that does not follow the schema; `where` names it the way its file does."""

    where: str
    reason: str

    def __str__(self) -> str:
        # A reason may quote the row, and a row may be of any size.
        reason = self.reason
        cut = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."
        return f"{self.where}: {cut}"


@dataclass(frozen=True, slots=True)
class TaskData:
    """The problems of a task as loaded once, with their provenance."""

    problems: tuple[Problem, ...]
    source: str
    """Where the rows came from, for people: a hub id, a file name, `bundled`."""
    content_hash: str
    """SHA-256 over the rows' content; the same rows give the same hash from any source."""
    bad_rows: tuple[BadRow, ...] = ()
    skipped: tuple[BadRow, ...] = ()
    """Rows that are sound, but cannot run here; `where` is the problem's id."""
    quarantined: tuple[BadRow, ...] = ()
    """Rows that the user's list leaves out (see `quarantine`); `where` is the problem's id."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Sampling defaults of a prompt variant."""

    n: int = 10
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptVariant:
    """A named prompt of a task: its template file and the sampling it goes with."""

    name: str
    path: Path
    defaults: Defaults


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A parsed `task.yaml`."""

    name: str
    version: int
    description: str
    kind: str
    folder: Path
    environment: str
    """Library set of the sandbox the programs run in."""
    data: Mapping[str, Any]
    prompts: Mapping[str, PromptVariant]
    default_prompt: str
    preload: frozenset[str] = field(default_factory=frozenset)
    language: str = "python"
    """The language of answers and tests; see `recode_eval.languages`."""
    tags: tuple[str, ...] = ()
    """Tags to break the results down by, in this order."""


class Task(Protocol):
    """A benchmark: where its problems come from and which programs grade an answer."""

    spec: TaskSpec

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the programs of one answer.

        A sample passes if the first one passes; with a second one, the answer *needed the update*
        if it passes the first and not the second. A task without any executes nothing: answers
        are compared with the reference only, and no sandbox is needed.
        """
        ...

    def load(self, source: str | None, *, skip_bad_rows: bool) -> TaskData:
        """Read the problems, from `source` (a file) or from the task's own data source.

        Raises:
            DataError: a row is malformed (the first few are named) and `skip_bad_rows` is false,
                or nothing is left.
            InfrastructureError: the hub cannot be reached.
        """
        ...

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the program of each condition for an answer."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """A task that measures answers in ways of its own, besides tests and similarity."""

    def measures(self, problem: Problem, code: str | None) -> Mapping[str, float]:
        """Return named values in [0, 1] for an answer (None: it holds no code).

        A measure that has no meaning for a problem is left out; results are means over the others.
        """
        ...


@runtime_checkable
class Continuing(Protocol):
    """A task whose prompt a model may simply continue, without a block of code."""

    def continuation(self, problem: Problem, text: str) -> str | None:
        """Return the program that prompt and `text` make, or None if they make none.

        Asked for texts only in which nothing else was recognised as code.
        """
        ...


@runtime_checkable
class Grouped(Protocol):
    """A task that reports pass@k also over some of the tests of its first condition."""

    def groups(self, problem: Problem) -> Mapping[str, str]:
        """Return name (of a metric) -> what the names of its tests begin with.

        A group that the problem has no tests of is left out.
        """
        ...


@runtime_checkable
class Showing(Protocol):
    """A task whose tests are not shown to models as they are, since they hold more than a test."""

    def shown(self, problem: Problem, test: Test) -> str | None:
        """Return what a model sees of a test that it may see; None: nothing but its verdict.

        It is a program, which runs in the test's place to tell where an answer fails.
        """
        ...


@runtime_checkable
class OwnEnvironments(Protocol):
    """A task whose programs run in environments of single releases."""

    def environments(self, problem: Problem) -> Iterable[str]:
        """Return the environments that answers to a problem run in."""
        ...


@dataclass(frozen=True, slots=True)
class OthersNote:
    """A note that was written for other problems: it may hold this one's answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ApiDocs:
    """An API's signature and docstring, read from an installed release when they are needed."""

    path: str
    """The dotted name that leads to it."""
    environment: str | None
    """Where the release is installed; None: in the task's own environment."""
    lead: str
    """The line above."""
    signature: str | None = None
    """None: not known yet."""
    docstring: bool = True
    """Whether the docstring is shown too."""


DocsText = tuple[str | OthersNote | ApiDocs, ...]
"""A text about an update in parts; each becomes a paragraph, or is left out if there is nothing."""


@runtime_checkable
class Documented(Protocol):
    """A task that has documentation of the updates that its problems are about."""

    def documentation(self, problem: Problem, known: Sequence[Problem]) -> Mapping[str, DocsText]:
        """Return the text of each documentation arm that the task has for a problem.

        Arms are `note`, `signature`, `changelog` and `wrong-version`; `known` are all problems of
        the data. The texts never hold an answer or a hidden test; docstrings belong to others and
        are not stored, so they are named (`ApiDocs`).
        """
        ...


@runtime_checkable
class NamesApis(Protocol):
    """A task whose problems are about APIs of releases that can be asked for signatures."""

    def apis(self, problem: Problem) -> Iterable[tuple[str, str]]:
        """Yield each environment with the dotted name of an API that it may have."""
        ...


@runtime_checkable
class Docstrings(Protocol):
    """A task whose updates are invented, so that the installed library cannot document them."""

    def docstrings(self, problem: Problem) -> Mapping[str, str]:
        """Return the documentation of the problem's updated APIs by their dotted names."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A task that must find out what it can run before it runs anything."""

    def prepare(self, task_data: TaskData, note: Callable[[str], None]) -> TaskData:
        """Return the data with rows that cannot run here moved to `skipped`.

        Tells `note` what takes time. Raises `InfrastructureError` where trying again may help.
        """
        ...


def content_hash(rows: Iterable[tuple[str, Any]]) -> str:
    """Hash `(id, JSON-able content)` pairs, independent of their order."""
    digest = hashlib.sha256()
    for key, content in sorted(rows, key=lambda row: row[0]):
        line = json.dumps([key, content], sort_keys=True, separators=(",", ":"), default=_as_text)
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _as_text(value: object) -> str:
    """Return a day as JSON holds it; raises `TypeError` for anything else."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no hash")


def check_rows(
    problems: Sequence[Problem], bad: Sequence[BadRow], source: str, *, skip_bad_rows: bool
) -> None:
    """Raise the `DataError` that `Task.load` promises."""
    if bad and not skip_bad_rows:
        shown = "; ".join(str(row) for row in bad[:5])
        more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(
            f"{source} has {plural(len(bad), 'bad row')}: {shown}{more}. "
            "Correct them, or leave them out with --skip-bad-rows."
        )
    if not problems:
        raise DataError(f"{source} has no usable problem.")


def task_data(
    source: str,
    problems: Sequence[Problem],
    contents: Iterable[tuple[str, Any]],
    bad: Sequence[BadRow],
    *,
    skip_bad_rows: bool,
) -> TaskData:
    """Assemble the result of `Task.load`; raises the `DataError` that it promises.

    `contents` are the rows by their id, as `content_hash` takes them.
    """
    check_rows(problems, bad, source, skip_bad_rows=skip_bad_rows)
    return TaskData(tuple(problems), source, content_hash(contents), tuple(bad))
