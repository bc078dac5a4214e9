"""Task kind `gitchameleon`: problems that must be solved for one given version of a library.

Rows, ground truths and hidden tests are those of GitChameleon 2.0 (Misra et al., arXiv 2507.12367).
Each row has an environment of its own, resolved from wheels when the task is prepared: for the
Python that the row names where that can be had, else for the nearest that has wheels. Rows for
which there are none are set aside with the reason, never counted as failed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import Program, SandboxBuildError, Test
from recode_eval.sandbox.interpreters import can_be_had, interpreter_variable
from recode_eval.sandbox.locks import (
    NoSuchReleaseError,
    ensure_release,
    is_requirement,
    is_settled,
)
from recode_eval.sandbox.requirements import (
    PYTHONS,
    RELEASE_PYTHON,
    has_environment,
    parse_python,
    release_name,
)
from recode_eval.tasks import data
from recode_eval.tasks.base import BadRow, Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.days import month
from recode_eval.tasks.rows import RowError, open_rows, parse_rows, statements, text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

TESTS = "tests"
MADE = 2025
"""The year about whose beginning the benchmark was made."""
PYTHONS_VARIABLE = "RECODE_EVAL_PYTHONS"
"""Names the only Pythons that rows may run on: `3.9,3.11,3.13`. Else all that can be had."""
COMPANIONS = ("pytest<8", "setuptools<70")
"""What every environment of that time had: the runner of the hidden tests (from pytest 8.2 on,
tornado's own test cases cannot be collected), and `pkg_resources`."""
_USED_BY_TESTS = ("numpy", "pandas", "scipy")
"""What tests import although nothing requires it: torch, for one, works without numpy."""
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+(\w+)", re.MULTILINE)

_VERSION = re.compile(r"[0-9][A-Za-z0-9.]{0,29}")
_LIBRARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")
_PYTHON = re.compile(r"3\.\d+")
_ID = re.compile(r"[A-Za-z0-9_]+")
_RESOLVERS = 4

_HIDDEN = r'''
def __hidden_tests__(name, source):
    """Run the row's test module with pytest; the answer is the module that it imports."""
    import os, pathlib, sys, types

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest

    namespace = globals()

    class Answer(types.ModuleType):
        # Not a copy: what a test patches must be what the answer's functions see.
        def __getattr__(self, attribute):
            try:
                return namespace[attribute]
            except KeyError:
                raise AttributeError(attribute) from None

        def __setattr__(self, attribute, value):
            namespace[attribute] = value

        def __delattr__(self, attribute):
            namespace.pop(attribute, None)

    class Recorder:
        def __init__(self):
            self.passed, self.failed = 0, []

        def pytest_runtest_logreport(self, report):
            if report.failed:
                crash = getattr(report.longrepr, "reprcrash", None)
                text = getattr(crash, "message", None) or str(report.longrepr)
                self.failed.append(report.nodeid.rpartition("::")[2] + ": " + text[:200])
            elif report.when == "call" and report.passed:
                self.passed += 1

        def pytest_collectreport(self, report):
            if report.failed:
                self.failed.append("collection: " + str(report.longrepr)[-300:])

    sys.modules[name] = Answer(name)
    folder = pathlib.Path("hidden").absolute()
    folder.mkdir(exist_ok=True)
    file = folder / ("test_" + name + ".py")
    file.write_text(source, encoding="utf-8")
    recorder = Recorder()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    # Nothing above this folder may be looked at: the sandbox does not let it.
    options = ["-q", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini")]
    options += ["--rootdir", str(folder), "--confcutdir", str(folder)]
    status = pytest.main([*options, str(file)], plugins=[recorder])
    assert not recorder.failed, str(len(recorder.failed)) + " failed: " + recorder.failed[0]
    assert recorder.passed and status == 0, "no hidden test ran (pytest: " + str(status) + ")"
'''


@dataclass(frozen=True, slots=True)
class ChameleonRow:
    """One row, checked; `hidden_test` is a test module for pytest, empty if it is not at hand."""

    id: str
    python: str
    library: str
    version: str
    requirements: tuple[str, ...]
    """What the row pins besides the library itself."""
    problem: str
    starting_code: str
    solution: str
    test: str
    hidden_test: str
    kind: str
    subject: str
    """The class or function that the row is about."""
    month: str = ""
    """In which the release appeared, such as 2024-09; empty where the row does not say."""

    @property
    def companions(self) -> tuple[str, ...]:
        """Return the packages besides the library: its pins, common ones, and what tests import."""
        there = {re.split(r"[=<>!~\[]", item)[0].lower() for item in self.requirements}
        there.add(self.library)
        imported = set(_IMPORT.findall(f"{self.hidden_test or self.test}\n{self.starting_code}"))
        common = (*COMPANIONS, *(name for name in _USED_BY_TESTS if name in imported))
        missing = (item for item in common if item.partition("<")[0] not in there)
        return (*self.requirements, *missing)

    @property
    def named_python(self) -> tuple[int, int]:
        """Return the Python that the row names."""
        return 3, int(self.python.partition(".")[2])

    def environment(self, python: tuple[int, int]) -> str:
        """Name of the environment for a Python: the release, and a hash of what comes with it."""
        parts = [self.library, self.version, self.companions, python, resolved_as_on(python)]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
        name = release_name(self.library, self.version)
        return f"{name}-py{python[0]}.{python[1]}-{digest}"


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row with the Python that it runs on: the one it names, until the task is prepared."""

    row: ChameleonRow
    python: tuple[int, int]

    @property
    def environment(self) -> str:
        """Return the environment's name."""
        return self.row.environment(self.python)


def resolved_as_on(python: tuple[int, int]) -> tuple[str, ...]:
    """Return the days as on which releases for a Python are resolved, from the first on.

    What a row does not pin is resolved as on the first of these days on which the library and its
    pins have wheels: about when it appeared. Later libraries break it, as numpy 2 breaks torch
    1.13. The days are the first of each quarter from the year after the Python's first release (of
    before, what is not compiled has "wheels" for it, and may not work) to when the benchmark was
    made.

    >>> resolved_as_on((3, 11))[:3]
    ('2023-01-01', '2023-04-01', '2023-07-01')
    >>> resolved_as_on((3, 13))
    ('2025-01-01',)
    """
    first = 2012 + python[1]  # one release a year since 3.7 in 2018 (PEP 602)
    years = range(first, MADE)
    quarters = (f"{year}-{month:02}-01" for year in years for month in (1, 4, 7, 10))
    return (*quarters, f"{max(first, MADE)}-01-01")


def pythons_at_hand(named: Collection[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the Pythons that rows may run on here, oldest first.

    Those of the environment variable `PYTHONS_VARIABLE`; else of `PYTHONS` what the machine has,
    and what rows have `named` and uv can fetch. The sandbox tier docker runs rows on the same
    ones, each in an image of its own.

    Raises:
        UsageError: the variable names something else than Pythons.
    """
    chosen = os.environ.get(PYTHONS_VARIABLE)
    if chosen:
        return tuple(sorted({parse_python(word) for word in chosen.split(",")}))
    wanted = {RELEASE_PYTHON, *named}
    return tuple(python for python in PYTHONS if can_be_had(python, fetch=python in wanted))


def by_nearness(
    named: tuple[int, int], at_hand: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Sort the Pythons that a row may run on: the one it names first, then the nearest ones.

    Of two equally near the newer comes first: it understands all that the older does.

    >>> by_nearness((3, 10), [(3, 9), (3, 11), (3, 13)])
    [(3, 11), (3, 9), (3, 13)]
    """
    return sorted(at_hand, key=lambda python: (abs(python[1] - named[1]), -python[1]))


class GitChameleonTask:
    """GitChameleon 2.0, from the hub or its own files."""

    conditions = (TESTS,)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`.

        With a file, hidden tests are looked for beside it: `NAME.hidden_tests.jsonl`
        (`example_id`, `hidden_test`) or a folder `hidden_tests` with `test_sample_ID.py`. Where a
        row has one, it decides; else the row's own visible test.
        """
        name, rows = open_rows(self.spec, source)
        good, bad = parse_rows(rows, parse_row, lambda row: row.id)
        hidden: dict[str, str] = {}
        if source is not None:
            hidden, bad_tests = _hidden_tests(data.data_path(source))
            bad += bad_tests
        complete = [
            replace(row, hidden_test=hidden[row.id]) if row.id in hidden else row
            for row in good.values()
        ]
        problems = tuple(_problem(row) for row in complete)
        contents = ((row.id, _content(row)) for row in complete)
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def prepare(self, task_data: TaskData, note: Callable[[str], None]) -> TaskData:
        """Resolve every row's environment; set rows aside that have none (see `Preparing`).

        The tag `python` of a problem says on which Python it runs.
        """
        named = {problem.payload.row.named_python for problem in task_data.problems}
        at_hand = pythons_at_hand(named)
        if not at_hand:
            raise SandboxBuildError(
                f"no Python of {_dotted(PYTHONS[0])} to {_dotted(PYTHONS[-1])} was found to run "
                "rows on; install one"
            )
        rows = {_key(problem): problem.payload.row for problem in task_data.problems}
        if unknown := sum(not _is_resolved(row, at_hand) for row in rows.values()):
            names = ", ".join(map(_dotted, at_hand))
            note(f"resolving {unknown} environments for Python {names}, this once")
        with ThreadPoolExecutor(_RESOLVERS) as pool:
            found = dict(zip(rows, pool.map(partial(_place, at_hand), rows.values()), strict=True))
        kept, skipped = [], []
        for problem in task_data.problems:
            python = found[_key(problem)]
            if isinstance(python, str):
                skipped.append(BadRow(problem.id, python))
            else:
                tags = {**problem.tags, "python": _dotted(python)}
                placed = replace(problem.payload, python=python)
                kept.append(replace(problem, payload=placed, tags=tags))
        return replace(task_data, problems=tuple(kept), skipped=tuple(skipped))

    def environments(self, problem: Problem) -> tuple[str, ...]:
        """Return the row's own environment."""
        return (problem.payload.environment,)

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the program in the row's environment."""
        row: ChameleonRow = problem.payload.row
        test = Test("hidden_test", _hidden_call(row)) if row.hidden_test else Test("test", row.test)
        preload = self.spec.preload | {row.library.replace("-", "_")}
        return {TESTS: Program("", code, (test,), preload, problem.payload.environment)}


def _dotted(python: tuple[int, int]) -> str:
    return ".".join(map(str, python))


def _key(problem: Problem) -> str:
    """Equal for rows that run in one environment."""
    row: ChameleonRow = problem.payload.row
    return row.environment(row.named_python)


def _hidden_call(row: ChameleonRow) -> str:
    name = f"sample_{row.id}"
    return f"{_HIDDEN}\n__hidden_tests__({name!r}, {row.hidden_test!r})\n"


def _is_resolved(row: ChameleonRow, at_hand: Sequence[tuple[int, int]]) -> bool:
    """Whether it is known which of the Pythons the row runs on."""
    for python in by_nearness(row.named_python, at_hand):
        name = row.environment(python)
        if has_environment(name) or not is_settled(name):
            return has_environment(name)
    return True


def _place(at_hand: Sequence[tuple[int, int]], row: ChameleonRow) -> tuple[int, int] | str:
    """Return the Python that the row runs on, or why none; raises `SandboxBuildError`."""
    reasons = []
    for python in by_nearness(row.named_python, at_hand):
        try:
            ensure_release(
                f"{row.library}=={row.version}",
                row.companions,
                name=row.environment(python),
                days=resolved_as_on(python),
                python=python,
            )
        except NoSuchReleaseError as error:
            reasons.append(str(error))
        else:
            return python
    if row.named_python in at_hand:
        return reasons[0]
    named = _dotted(row.named_python)
    tried = ", ".join(map(_dotted, by_nearness(row.named_python, at_hand)))
    return (
        f"{reasons[0]}; tried Python {tried}, and the row names {named}: install it "
        f"(`uv python install {named}`) or name it in {interpreter_variable(row.named_python)}"
    )


def parse_row(raw: Mapping[str, Any]) -> ChameleonRow:
    """Check a raw row; raises `RowError`."""
    identifier = raw.get("example_id")
    row = ChameleonRow(
        id=str(identifier) if isinstance(identifier, int) else text(raw, "example_id"),
        python=text(raw, "python_version"),
        library=text(raw, "library").strip(),
        version=text(raw, "version").strip(),
        requirements=(
            *text(raw, "additional_dependencies", required=False).split(),
            *text(raw, "extra_dependencies", required=False).split(),
        ),
        problem=text(raw, "problem"),
        starting_code=text(raw, "starting_code"),
        solution=text(raw, "solution"),
        test=text(raw, "test"),
        hidden_test=text(raw, "hidden_test", required=False),
        kind=text(raw, "type_of_change", required=False),
        subject=text(raw, "name_of_class_or_func", required=False),
        month=text(raw, "release_date", required=False),
    )
    for key, value, pattern in (
        ("example_id", row.id, _ID),
        ("library", row.library, _LIBRARY),
        ("version", row.version, _VERSION),
        ("python_version", row.python, _PYTHON),
    ):
        if not pattern.fullmatch(value):
            raise RowError(f"the field {key} has an invalid value: {value!r}")
    for item in row.requirements:
        if not is_requirement(item):
            raise RowError(f"the dependency {item!r} is not a requirement, for example numpy<2")
    statements(row.test, "test")
    statements(row.hidden_test, "hidden_test")
    statements(row.starting_code + row.solution, "starting_code with solution")
    return row


def _content(row: ChameleonRow) -> dict[str, Any]:
    """Return what decides about answers; the month does not, and older hashes lack it."""
    return {key: value for key, value in asdict(row).items() if key != "month"}


def _hidden_tests(path: Path) -> tuple[dict[str, str], list[BadRow]]:
    """Return hidden tests by row id, from whichever layout lies beside the data file, and the bad.

    A bad one must be known: the visible test, which decides in its place, asks for less.
    """
    found: dict[str, str] = {}
    bad: list[BadRow] = []
    for where, raw in _hidden_rows(path):
        if isinstance(raw, BadRow):
            bad.append(raw)
            continue
        try:
            test = text(raw, "hidden_test")
            statements(test, "hidden_test")
        except RowError as error:
            bad.append(BadRow(where, str(error)))
        else:
            found[str(raw.get("example_id"))] = test
    return found, bad


def _hidden_rows(path: Path) -> Iterator[data.Row]:
    beside = path.with_name(f"{path.name.removesuffix('.gz').rsplit('.', 1)[0]}.hidden_tests.jsonl")
    if beside.is_file():
        yield from data.read_file(beside)
    for file in sorted(path.parent.glob("hidden_tests/test_sample_*.py")):
        try:
            test = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            yield file.name, BadRow(file.name, f"cannot be read ({error})")
        else:
            identifier = file.stem.removeprefix("test_sample_")
            yield file.name, {"example_id": identifier, "hidden_test": test}


def _problem(row: ChameleonRow) -> Problem:
    definition = re.findall(r"^(?:async )?(?:def|class) +(\w+)", row.starting_code, re.MULTILINE)
    first, last = month(row.month) or (None, None)
    return Problem(
        id=row.id,
        cluster=f"{row.library}:{row.subject or row.id}",
        tags={"library": row.library, "change": row.kind or "unknown"},
        context={
            "library": row.library,
            "version": row.version,
            "problem": row.problem,
            "starting_code": row.starting_code,
        },
        solutions={"reference": row.starting_code + row.solution},
        payload=PlacedRow(row, row.named_python),
        entry_point=definition[-1] if definition else None,
        changed_after=first,
        changed_on=last,
    )
