"""Task kind `arena`: problems over API updates, in CodeUpdateArena's schema and semantics.

A row pairs a programming problem with an invented update of a library function. An answer is run
twice: with the update in force (*enforced*: the new function is put in the library's place) and
without it. Source of schema and order of execution: Liu et al., arXiv 2407.06249, and its code.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError
from recode_eval.sandbox.base import Program, Test
from recode_eval.tasks import data
from recode_eval.tasks.base import BadRow, Problem, TaskData, TaskSpec, check_rows, content_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WITH_UPDATE = "with_update"
WITHOUT_UPDATE = "without_update"

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


class RowError(ValueError):
    """A row breaks the schema; the text says how."""


@dataclass(frozen=True, slots=True)
class Update:
    """An invented change of one library function."""

    update_id: str
    function_path: str
    package: str
    update_type: str
    description: str
    rationale: str
    docstring: str
    signature: str
    imports: str
    implementation: str
    unit_tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class ArenaRow:
    """One row, checked and in one shape whatever variant of the schema it came in."""

    id: str
    update: Update
    scenario: str
    problem: str
    solution_signature: str
    imports: str
    unit_tests: tuple[Test, ...]
    ref_solution: str
    stale_solution: str | None


class ArenaTask:
    """CodeUpdateArena, its bundled sibling, and any file in the same schema."""

    conditions = (WITH_UPDATE, WITHOUT_UPDATE)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`."""
        name, rows = self._open(source)
        good: dict[str, tuple[ArenaRow, dict[str, Any]]] = {}
        bad: list[BadRow] = []
        for where, raw in rows:
            if isinstance(raw, BadRow):
                bad.append(raw)
                continue
            try:
                row = parse_row(raw)
                if row.id in good:
                    raise RowError(f"the id {row.id} occurs twice")
            except RowError as error:
                bad.append(BadRow(where, str(error)))
            else:
                good[row.id] = row, asdict(row)
        problems = tuple(_problem(row) for row, _ in good.values())
        check_rows(problems, bad, name, skip_bad_rows=skip_bad_rows)
        digest = content_hash((key, content) for key, (_, content) in good.items())
        return TaskData(problems, name, digest, tuple(bad))

    def _open(self, source: str | None) -> tuple[str, Iterator[data.Row]]:
        if source is not None:
            path = data.data_path(source)
            return path.name, data.read_file(path)
        match self.spec.data:
            case {"folder": str(folder)}:
                return "the bundled data", data.read_yaml_folder(self.spec.folder / folder)
            case {"file": str(file)}:
                path = self.spec.folder / file
                return path.name, data.read_file(path)
            case {"hub": {"path": str(), "split": str()} as hub}:
                return str(hub["path"]), data.read_hub(hub, self.spec.name)
        raise DataError(
            f"{self.spec.folder / 'task.yaml'}: data must be {{folder: ...}}, {{file: ...}} or "
            "{hub: {path: ..., split: ...}}."
        )

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the programs with and without the update in force."""
        row: ArenaRow = problem.payload
        setup = f"{row.imports}\n{row.update.implementation}\n"
        enforced = f"{setup}{_enforce_once(row.update)}\n"
        preload = self.spec.preload | {row.update.package}
        return {
            WITH_UPDATE: Program(enforced, code, row.unit_tests, preload),
            WITHOUT_UPDATE: Program(setup, code, row.unit_tests, preload),
        }

    def update_program(self, problem: Problem) -> Program | None:
        """Return the program that runs the update's own tests, where the row has any."""
        update = problem.payload.update
        if not update.unit_tests:
            return None
        setup = f"{update.imports}\n{update.implementation}\n{enforce_statement(update)}\n"
        return Program(setup, "", update.unit_tests, self.spec.preload | {update.package})


def enforce_statement(update: Update) -> str:
    """Return the statement that puts the new function in force.

    By update type (arXiv 2407.06249, public code): a changed argument or output, or added
    semantics, replaces the function; a rename deletes the old name and adds the new one; a new
    function is added beside the old one.

    Raises:
        RowError: the type is none of these, or the implementation's name does not fit it.
    """
    path = update.function_path
    parent, _, last = path.rpartition(".")
    name = _defined_name(update.implementation)
    action, _, aspect = update.update_type.partition("-")
    place = aspect.split("-")[0]
    if place in {"argument", "output"} or (action == "add" and aspect.endswith("-semantics")):
        if name != last:
            raise RowError(f"the implementation must define {last!r}, as {path} says, not {name!r}")
        return f"{path} = {name}"
    if name == last:
        raise RowError(f"type {update.update_type} needs a new name, but {name!r} is the old one")
    if update.update_type == "modify-function-name":
        return f"del {path}\nsetattr({parent}, {name!r}, {name})"
    if update.update_type == "add-function":
        return f"setattr({parent}, {name!r}, {name})"
    raise RowError(f"unknown update type {update.update_type!r}")


# Every answer to a problem needs the statement of its update.
_enforce_once = lru_cache(maxsize=4096)(enforce_statement)


def _defined_name(implementation: str) -> str:
    body = _parsed(implementation, "update.implementation")
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    if len(names) != 1:
        raise RowError(f"update.implementation must hold exactly one def, not {len(names)}")
    return names[0]


def parse_row(raw: Mapping[str, Any]) -> ArenaRow:
    """Check a raw row and bring it into one shape.

    Accepted variants: `unit_tests` and `imports` as text, a list, or the repr of a list;
    `prog_syn_imports` for `imports`; `api_path` for `function_path`; no `update.unit_tests`;
    `update` as an object or as JSON.

    Raises:
        RowError: a field is missing or of the wrong type, or the code in it does not fit.
    """
    update = _parse_update(raw)
    enforce_statement(update)
    imports = raw.get("imports")
    if imports is None:
        imports = raw.get("prog_syn_imports")
    tests = split_tests(_joined(raw.get("unit_tests"), "unit_tests", "\n\n"), "unit_tests")
    if not tests:
        raise RowError("unit_tests holds no function named test...")
    stale = raw.get("stale_solution")
    return ArenaRow(
        id=_text(raw, "prog_syn_id"),
        update=update,
        scenario=_text(raw, "scenario"),
        problem=_text(raw, "problem"),
        solution_signature=_text(raw, "solution_signature"),
        imports=_joined(imports, "imports", "\n"),
        unit_tests=tests,
        ref_solution=_text(raw, "ref_solution"),
        stale_solution=None if stale is None else _text(raw, "stale_solution"),
    )


def _parse_update(raw: Mapping[str, Any]) -> Update:
    update = raw.get("update")
    if isinstance(update, str):  # a table without nested columns holds it as JSON
        try:
            update = json.loads(update)
        except (ValueError, RecursionError):
            raise RowError("the field update is text, but not JSON") from None
    if not isinstance(update, dict):
        raise RowError("the field update is missing or not an object")
    path = update.get("function_path") or update.get("api_path")
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise RowError(f"update.function_path must be a dotted name, not {path!r}")
    own_tests = update.get("unit_tests")
    return Update(
        update_id=_text(raw if "update_id" in raw else update, "update_id"),
        function_path=path,
        package=_text(update, "package", required=False) or path.split(".")[0],
        update_type=_text(update, "update_type"),
        description=_text(update, "description"),
        rationale=_text(update, "rationale", required=False),
        docstring=_text(update, "docstring"),
        signature=_text(update, "signature"),
        imports=_joined(update.get("imports") or "", "update.imports", "\n"),
        implementation=_text(update, "implementation"),
        unit_tests=(
            split_tests(_joined(own_tests, "update.unit_tests", "\n\n"), "update.unit_tests")
            if own_tests
            else ()
        ),
    )


def _text(record: Mapping[str, Any], key: str, *, required: bool = True) -> str:
    value = record.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        found = "missing" if value is None else f"of type {type(value).__name__}"
        raise RowError(f"the field {key} is {found}; text is expected")
    if required and not value.strip():
        raise RowError(f"the field {key} is empty")
    return _encodable(value, key)


def _encodable(value: str, key: str) -> str:
    # JSON can spell half of a character; no file, tokeniser or server takes it.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowError(f"the field {key} holds a lone surrogate, which is no text") from None
    return value


def _joined(value: object, key: str, separator: str) -> str:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise RowError(
                f"the field {key} looks like a list, but cannot be read as one"
            ) from None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = separator.join(value)
    if not isinstance(value, str):
        found = "missing" if value is None else f"of type {type(value).__name__}"
        raise RowError(f"the field {key} is {found}; text or a list of text is expected")
    return _encodable(value, key)


def split_tests(source: str, key: str) -> tuple[Test, ...]:
    """Split test code into one `Test` per top-level function named `test...`, in order.

    By syntax tree, since blank lines inside a test make a split at blank lines wrong. Whatever else
    stands at the top level (imports, helpers) goes before each test. Each test ends in its call.

    Raises:
        RowError: the source is not Python.
    """
    body = _parsed(source, key)
    # Not `splitlines`: for the parser a form feed or U+2028 inside of a string ends no line.
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shared: list[str] = []
    tests: list[tuple[str, str]] = []
    done = 0
    for node in body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        if first <= done:  # `a = 1; b = 2`: the line is there already
            continue
        while first - 2 >= done and lines[first - 2].startswith("#"):
            first -= 1  # what is said about a test belongs to it
        done = node.end_lineno or first
        text = "\n".join(lines[first - 1 : done])
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            tests.append((node.name, text))
        else:
            shared.append(text)
    prefix = "".join(f"{text}\n" for text in shared)
    return tuple(Test(name, f"{prefix}{text}\n{name}()\n") for name, text in tests)


def _parsed(source: str, key: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape ("\\d") is not worth a word
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError(f"{key} is not Python ({error})") from error


def _problem(row: ArenaRow) -> Problem:
    update = row.update
    answers = {"reference": row.ref_solution}
    if row.stale_solution is not None:
        answers["stale"] = row.stale_solution
    name = re.search(r"([A-Za-z_]\w*)\s*\(", row.solution_signature)
    return Problem(
        id=row.id,
        cluster=update.update_id,
        tags={
            "package": update.package,
            "update_type": update.update_type,
            "function": update.function_path,
        },
        context={
            "function_path": update.function_path,
            "package": update.package,
            "description": update.description,
            "signature": update.signature,
            "docstring": update.docstring,
            "scenario": row.scenario,
            "problem": row.problem,
            "solution_signature": row.solution_signature,
            "first_test": _shown_test(row.unit_tests[0]),
        },
        answers=answers,
        payload=row,
        entry_point=name[1] if name else None,
    )


def _shown_test(test: Test) -> str:
    """Return the test's source without the call that `split_tests` put at its end."""
    return test.code.removesuffix(f"{test.name}()\n").rstrip()
