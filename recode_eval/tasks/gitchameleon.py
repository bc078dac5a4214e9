"""Task kind `gitchameleon`: problems that must be solved for one given version of a library.

Rows, ground truths and hidden tests are those of GitChameleon 2.0 (Misra et al., arXiv 2507.12367).
Each row has an environment of its own, resolved from wheels for CPython 3.11 when the task is
prepared; rows for which there are none are set aside with the reason, never counted as failed.
"""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import Program, Test
from recode_eval.sandbox.locks import NoSuchReleaseError, ensure_release, is_requirement
from recode_eval.sandbox.requirements import RELEASE_PYTHON, has_environment, release_name
from recode_eval.tasks import data
from recode_eval.tasks.base import BadRow, Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.rows import RowError, open_rows, parse_rows, statements, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

TESTS = "tests"
RESOLVED_AS_ON = (
    *(f"{year}-{month:02}-01" for year in (2023, 2024) for month in (1, 4, 7, 10)),
    "2025-01-01",
)
"""What a row does not pin is resolved as on the first of these days on which the library and its
pins have wheels: about when it appeared. Later libraries break it, as numpy 2 breaks torch 1.13.
Before 2023 hardly a library had wheels for CPython 3.11; the benchmark was made about the end."""
COMPANIONS = ("pytest<8", "setuptools<70")
"""What every environment of that time had: the runner of the hidden tests (from pytest 8.2 on,
tornado's own test cases cannot be collected), and `pkg_resources`."""

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

    @property
    def companions(self) -> tuple[str, ...]:
        """Return the packages besides the library: the row's pins and the common companions."""
        pinned = {re.split(r"[=<>!~\[]", item)[0].lower() for item in self.requirements}
        common = (item for item in COMPANIONS if item.partition("<")[0] not in pinned)
        return (
            *self.requirements,
            *(item for item in common if item.partition("<")[0] != self.library),
        )

    @property
    def environment(self) -> str:
        """Name of the environment: the release, and a hash of what comes with it."""
        parts = [self.library, self.version, self.companions, RESOLVED_AS_ON]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
        return f"{release_name(self.library, self.version)}-{digest}"


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
        contents = ((row.id, asdict(row)) for row in complete)
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def prepare(self, task_data: TaskData, note: Callable[[str], None]) -> TaskData:
        """Resolve every row's environment; set rows aside that have none (see `Preparing`)."""
        rows = {p.payload.environment: p.payload for p in task_data.problems}
        missing = [row for name, row in rows.items() if not has_environment(name)]
        if missing:
            python = ".".join(map(str, RELEASE_PYTHON))
            note(f"resolving {len(missing)} environments for Python {python}, this once")
        with ThreadPoolExecutor(_RESOLVERS) as pool:
            reasons = dict(zip(rows, pool.map(_resolve, rows.values()), strict=True))
        kept, skipped = [], []
        for problem in task_data.problems:
            reason = reasons[problem.payload.environment]
            if reason is None:
                kept.append(problem)
            else:
                skipped.append(BadRow(problem.id, reason))
        return replace(task_data, problems=tuple(kept), skipped=tuple(skipped))

    def environments(self, problem: Problem) -> tuple[str, ...]:
        """Return the row's own environment."""
        return (problem.payload.environment,)

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the program in the row's environment."""
        row: ChameleonRow = problem.payload
        test = Test("hidden_test", _hidden_call(row)) if row.hidden_test else Test("test", row.test)
        preload = self.spec.preload | {row.library.replace("-", "_")}
        return {TESTS: Program("", code, (test,), preload, row.environment)}


def _hidden_call(row: ChameleonRow) -> str:
    name = f"sample_{row.id}"
    return f"{_HIDDEN}\n__hidden_tests__({name!r}, {row.hidden_test!r})\n"


def _resolve(row: ChameleonRow) -> str | None:
    """Return why the row cannot run here; None if it can. Raises `SandboxBuildError`."""
    try:
        ensure_release(
            f"{row.library}=={row.version}",
            row.companions,
            name=row.environment,
            days=RESOLVED_AS_ON,
        )
    except NoSuchReleaseError as error:
        return str(error)
    return None


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
        payload=row,
        entry_point=definition[-1] if definition else None,
    )
