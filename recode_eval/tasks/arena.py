"""Task kind `arena`: problems over API updates, in CodeUpdateArena's schema and semantics.

A row pairs a programming problem with an invented update of a library function. An answer is run
twice: with the update in force (*enforced*: the new function is put in the library's place) and
without it. Source of schema and order of execution: Liu et al., arXiv 2407.06249, and its code.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import Program, Test
from recode_eval.tasks.base import Problem, TaskData, TaskSpec, check_rows, content_hash
from recode_eval.tasks.rows import (
    RowError,
    joined,
    open_rows,
    parse_rows,
    split_tests,
    statements,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WITH_UPDATE = "with_update"
WITHOUT_UPDATE = "without_update"

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


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
        name, rows = open_rows(self.spec, source)
        good, bad = parse_rows(rows, parse_row, lambda row: row.id)
        problems = tuple(_problem(row) for row in good.values())
        check_rows(problems, bad, name, skip_bad_rows=skip_bad_rows)
        digest = content_hash((key, asdict(row)) for key, row in good.items())
        return TaskData(problems, name, digest, tuple(bad))

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

    def own_programs(self, problem: Problem) -> Iterator[tuple[str, Program]]:
        """Yield the program that runs the update's own tests, where the row has any."""
        update = problem.payload.update
        if update.unit_tests:
            setup = f"{update.imports}\n{update.implementation}\n{enforce_statement(update)}\n"
            preload = self.spec.preload | {update.package}
            yield "the update's own tests", Program(setup, "", update.unit_tests, preload)


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
    body = statements(implementation, "update.implementation")
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
    tests = split_tests(joined(raw.get("unit_tests"), "unit_tests", "\n\n"), "unit_tests")
    if not tests:
        raise RowError("unit_tests holds no function named test...")
    stale = raw.get("stale_solution")
    return ArenaRow(
        id=text(raw, "prog_syn_id"),
        update=update,
        scenario=text(raw, "scenario"),
        problem=text(raw, "problem"),
        solution_signature=text(raw, "solution_signature"),
        imports=joined(imports, "imports", "\n"),
        unit_tests=tests,
        ref_solution=text(raw, "ref_solution"),
        stale_solution=None if stale is None else text(raw, "stale_solution"),
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
        update_id=text(raw if "update_id" in raw else update, "update_id"),
        function_path=path,
        package=text(update, "package", required=False) or path.split(".")[0],
        update_type=text(update, "update_type"),
        description=text(update, "description"),
        rationale=text(update, "rationale", required=False),
        docstring=text(update, "docstring"),
        signature=text(update, "signature"),
        imports=joined(update.get("imports") or "", "update.imports", "\n"),
        implementation=text(update, "implementation"),
        unit_tests=(
            split_tests(joined(own_tests, "update.unit_tests", "\n\n"), "update.unit_tests")
            if own_tests
            else ()
        ),
    )


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
