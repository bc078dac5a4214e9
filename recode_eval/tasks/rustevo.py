"""Task kind `rustevo`: functions to be written in Rust with an API that a release changed.

Rows and documentation are those of RustEvo 2 (Liang et al., arXiv 2503.16922): a file of problems,
and one of APIs, aligned by position. Rows of third-party crates are set aside, since no crates are
installed. A program has passed if its tests pass and it uses the API that the row is about: where
the old way still compiles, tests alone cannot tell.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError
from recode_eval.languages import get_language
from recode_eval.languages.rust.runtime import failing_test
from recode_eval.sandbox.base import Program, Test
from recode_eval.tasks import data
from recode_eval.tasks.base import BadRow, DocsText, Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.days import rust_release
from recode_eval.tasks.rows import RowError, parse_rows, split_tests, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TESTS = "tests"
KINDS = ("stabilized", "signature", "implicit", "deprecated")
_LONGEST_DOCS = 4_000
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class RustRow:
    """One row with its API, checked."""

    id: str
    name: str
    """The API's own name, without its module."""
    module: str
    crate: str
    """The third-party crate that it is of; empty: the standard library."""
    from_version: str
    to_version: str
    change: str
    signature: str
    documentation: str
    query: str
    function_signature: str
    code: str
    tests: tuple[Test, ...]
    """Empty where the published tests are no Rust."""


class RustEvoTask:
    """RustEvo 2, from its published files."""

    conditions = (TESTS,)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`.

        The file of the APIs lies beside that of the problems: `NAME.APIDocs.json` for `NAME.json`,
        else `APIDocs.json`.

        Raises:
            DataError: also where no file is given, and where the two do not fit together.
        """
        if source is None:
            raise DataError(
                f"The task {self.spec.name} needs the files of RustEvo 2 (github.com/SYSUSELab/"
                f"RustEvo, folder Dataset): --data '{self.spec.name}=RustEvo^2.json', with "
                "APIDocs.json beside it."
            )
        path = data.data_path(source)
        rows, apis = _objects(path), _objects(_apis_of(path))
        if len(rows) != len(apis):
            raise DataError(
                f"{path} has {len(rows)} problems and {_apis_of(path).name} {len(apis)} APIs, but "
                "they belong together by position. Use the two files of one release."
            )
        places = (f"row {number} of {path.name}" for number in range(1, len(rows) + 1))
        joined = (
            (where, {**api, **row}) for where, row, api in zip(places, rows, apis, strict=True)
        )
        good, bad = parse_rows(joined, parse_row, lambda row: row.id)
        runs = {key: row for key, row in good.items() if not _against(row)}
        found = task_data(
            path.name,
            tuple(self._problem(row) for row in runs.values()),
            ((key, asdict(row)) for key, row in runs.items()),
            bad,
            skip_bad_rows=skip_bad_rows,
        )
        aside = tuple(BadRow(key, why) for key, row in good.items() if (why := _against(row)))
        return TaskData(found.problems, found.source, found.content_hash, found.bad_rows, aside)

    def _problem(self, row: RustRow) -> Problem:
        return Problem(
            id=row.id,
            cluster=f"{row.module}::{row.name}",
            tags={"library": row.module.partition("::")[0], "change": row.change},
            context={
                "api": f"{row.module}::{row.name}",
                "version": row.to_version,
                "change": row.change,
                "signature": row.signature,
                "documentation": row.documentation,
                "query": row.query,
                "function_signature": row.function_signature,
            },
            solutions={"reference": row.code},
            payload=row,
            entry_point=get_language(self.spec.language).entry_point(row.code),
            changed_after=rust_release(row.from_version),
            changed_on=rust_release(row.to_version),
        )

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the tests, and one that fails if the answer does not use the API."""
        row: RustRow = problem.payload
        tests = row.tests
        if self._checks_use(row) and not self._uses(row, code):
            why = f"the answer does not use {row.module}::{row.name}"
            tests = (*tests, Test("uses_the_api", failing_test(why)))
        return {TESTS: Program("", code, tests, language=self.spec.language)}

    def measures(self, problem: Problem, code: str | None) -> Mapping[str, float]:
        """Return `new_api`: 1 if the answer uses the API; nothing where that cannot be seen."""
        row: RustRow = problem.payload
        if not self._checks_use(row):
            return {}
        return {"new_api": float(code is not None and self._uses(row, code))}

    def documentation(self, problem: Problem, known: Sequence[Problem]) -> Mapping[str, DocsText]:
        """Return the API's documentation in the new release; see `Documented`."""
        del known
        row: RustRow = problem.payload
        if not row.signature:
            return {}
        name = f"{row.module}::{row.name}"
        text = (f"{name} in Rust {row.to_version}: {row.signature}", row.documentation)
        return {arm: tuple(filter(None, text)) for arm in ("note", "signature")}

    def _checks_use(self, row: RustRow) -> bool:
        """Whether use can be seen: the reference shows it (some use an API under another name)."""
        return self._uses(row, row.code)

    def _uses(self, row: RustRow, code: str) -> bool:
        return bool(get_language(self.spec.language).api_uses((row.name,), code))


def parse_row(raw: Mapping[str, Any]) -> RustRow:
    """Check a problem together with its API; raises `RowError`."""
    index = raw.get("task_idx")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise RowError(f"task_idx must be a number, not {index!r}")
    name = text(raw, "name")
    if not _NAME.fullmatch(name):
        raise RowError(f"the field name must be the API's own name, not {name!r}")
    code = text(raw, "code")
    if not get_language("rust").parses(code):
        raise RowError("code is not Rust")
    try:
        tests = split_tests(text(raw, "test_program", required=False), "test_program", "rust")
    except RowError:
        tests = ()  # some rows have words instead; they are set aside with the reason
    return RustRow(
        id=f"rustevo-{index}",
        name=name,
        module=text(raw, "module", required=False) or text(raw, "crate", required=False),
        crate=text(raw, "crate", required=False),
        from_version=text(raw, "from_version", required=False),
        to_version=text(raw, "to_version", required=False),
        change=text(raw, "change_type"),
        signature=text(raw, "signature", required=False),
        documentation=text(raw, "documentation", required=False)[:_LONGEST_DOCS],
        query=text(raw, "query"),
        function_signature=text(raw, "function_signature"),
        code=code,
        tests=tests,
    )


def _against(row: RustRow) -> str:
    """Return why a row cannot run here; empty if it can."""
    if row.crate:
        return f"needs the crate {row.crate}, and no crates are installed"
    return "" if row.tests else "its published tests hold no Rust test"


def _apis_of(path: Path) -> Path:
    own = path.with_name(f"{path.stem}.APIDocs.json")
    return own if own.is_file() else path.with_name("APIDocs.json")


def _objects(path: Path) -> list[dict[str, Any]]:
    """Read a JSON file with a list of objects; raises `DataError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"Cannot read {path}: {error.strerror}. RustEvo 2 has two files, the problems and "
            "APIDocs.json; put them side by side."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}).") from error
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise DataError(f"{path} must hold a list of objects.")
    return content
