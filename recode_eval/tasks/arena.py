"""Task kind `arena`: problems over API updates, in CodeUpdateArena's schema and semantics.

A row pairs a programming problem with an invented update of a library function, or with several.
An answer is run twice: with the update in force (*enforced*: the new function is put in the
library's place) and without it. Source of schema and order of execution: Liu et al., arXiv
2407.06249, and its code.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import Program, Test
from recode_eval.tasks.base import ApiDocs, DocsText, Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.clusters import connected
from recode_eval.tasks.rows import RowError, joined, open_rows, parse_rows, split_tests, text
from recode_eval.tasks.signatures import Signatures
from recode_eval.tasks.updates import Update, enforce_statement, new_path, parse_updates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

WITH_UPDATE = "with_update"
WITHOUT_UPDATE = "without_update"


@dataclass(frozen=True, slots=True)
class ArenaRow:
    """One row, checked and in one shape whatever variant of the schema it came in."""

    id: str
    updates: tuple[Update, ...]
    """One, or two and more that are in force at once."""
    scenario: str
    problem: str
    solution_signature: str
    imports: str
    unit_tests: tuple[Test, ...]
    ref_solution: str
    stale_solution: str | None
    partial_solutions: tuple[str | None, ...]
    """For each update, what someone who missed it, and no other, writes; None: not known."""


class ArenaTask:
    """CodeUpdateArena, its bundled sibling, and any file in the same schema."""

    conditions = (WITH_UPDATE, WITHOUT_UPDATE)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self._signatures = Signatures(spec)

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`."""
        name, rows = open_rows(self.spec, source)
        good, bad = parse_rows(rows, parse_row, lambda row: row.id)
        clusters = connected({row.id: [u.update_id for u in row.updates] for row in good.values()})
        problems = tuple(_problem(row, clusters[row.id]) for row in good.values())
        contents = ((key, _content(row)) for key, row in good.items())
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the programs with and without the update in force."""
        row: ArenaRow = problem.payload
        return {
            WITH_UPDATE: self._program(row, code, row.updates),
            WITHOUT_UPDATE: self._program(row, code, ()),
        }

    def _program(self, row: ArenaRow, code: str, in_force: Iterable[Update]) -> Program:
        implementations = (update.implementation for update in row.updates)
        setup = (row.imports, *implementations, *map(_enforce_once, in_force))
        preload = self.spec.preload | {update.package for update in row.updates}
        return Program("".join(f"{part}\n" for part in setup), code, row.unit_tests, preload)

    def documentation(self, problem: Problem, known: Sequence[Problem]) -> Mapping[str, DocsText]:
        """Return what the row and the installed function say of the updates; see `Documented`.

        The wrong version is the function as it is really installed: the update is invented.
        """
        del known
        updates: tuple[Update, ...] = problem.payload.updates
        return {
            "note": tuple(_whole_note(update) for update in updates),
            "signature": tuple(part for update in updates for part in self._signature(update)),
            "changelog": tuple(f"{one.function_path}: {one.description}" for one in updates),
            "wrong-version": tuple(
                ApiDocs(one.function_path, None, f"{one.function_path}: ", self._installed(one))
                for one in updates
            ),
        }

    def docstrings(self, problem: Problem) -> Mapping[str, str]:
        """Return what the row documents of the updated functions."""
        return {new_path(update): update.docstring for update in problem.payload.updates}

    def apis(self, problem: Problem) -> Iterator[tuple[str, str]]:
        """Yield the functions that the updates change, as they are installed."""
        for update in problem.payload.updates:
            yield self.spec.environment, update.function_path

    def _signature(self, update: Update) -> Iterator[str | ApiDocs]:
        path, before = update.function_path, self._installed(update)
        if before is None:  # rows of one's own, or from the hub
            yield ApiDocs(path, None, f"{path} before: ", docstring=False)
        else:
            yield f"{path} before: {before}"
        # A function that is added leaves the one it is named for as it was.
        when = "now has beside it" if update.update_type == "add-function" else "now"
        yield f"{update.function_path} {when}: {update.signature}"
        yield update.docstring

    def _installed(self, update: Update) -> str | None:
        known = self._signatures.of(self.spec.environment, update.function_path)
        return known if isinstance(known, str) else None

    def own_programs(self, problem: Problem) -> Iterator[tuple[str, Program]]:
        """Yield the program that runs the update's own tests, where the row has any."""
        updates: tuple[Update, ...] = problem.payload.updates
        for update in updates:
            if update.unit_tests:
                setup = f"{update.imports}\n{update.implementation}\n{_enforce_once(update)}\n"
                preload = self.spec.preload | {update.package}
                whose = "the update" if len(updates) == 1 else f"the update of {_paths([update])}"
                yield f"{whose}'s own tests", Program(setup, "", update.unit_tests, preload)

    def failing_programs(self, problem: Problem) -> Iterator[tuple[str, Program]]:
        """Yield what shows that each of several updates is needed.

        The reference with some of them only, and solutions that miss one of them.
        """
        row: ArenaRow = problem.payload
        for part in _parts(row.updates):
            program = self._program(row, row.ref_solution, part)
            yield f"reference with the update of {_paths(part)} only", program
        for update, code in zip(row.updates, row.partial_solutions, strict=True):
            if code is not None:
                program = self._program(row, code, row.updates)
                yield f"solution that misses the update of {_paths([update])}", program


# Every answer to a problem needs the statements of its updates.
_enforce_once = lru_cache(maxsize=4096)(enforce_statement)


def _parts(updates: tuple[Update, ...]) -> list[tuple[Update, ...]]:
    """Return the choices of one update, and of all but one, that leave something out."""
    sizes = sorted({1, len(updates) - 1} - {0, len(updates)})
    return [part for size in sizes for part in combinations(updates, size)]


def _whole_note(update: Update) -> str:
    return (
        f"{update.function_path}: {update.description}\n\nNew signature: {update.signature}\n\n"
        f"{update.docstring.strip()}"
    )


def _paths(updates: Iterable[Update]) -> str:
    return " and ".join(update.function_path for update in updates)


def _content(row: ArenaRow) -> dict[str, Any]:
    """Return what is hashed; a row with one update as it was before there were others."""
    content = asdict(row)
    if len(row.updates) == 1:
        [content["update"]] = content.pop("updates")
        del content["partial_solutions"]
    return content


def parse_row(raw: Mapping[str, Any]) -> ArenaRow:
    """Check a raw row and bring it into one shape.

    Accepted variants: `unit_tests` and `imports` as text, a list, or the repr of a list;
    `prog_syn_imports` for `imports`; `api_path` for `function_path`; no `update.unit_tests`;
    `update` as an object or as JSON; several `updates` (a list) instead.

    Raises:
        RowError: a field is missing or of the wrong type, the code in it does not fit, or the
            updates cannot be in force at once.
    """
    updates = parse_updates(raw)
    imports = raw.get("imports")
    if imports is None:
        imports = raw.get("prog_syn_imports")
    tests = split_tests(joined(raw.get("unit_tests"), "unit_tests", "\n\n"), "unit_tests")
    if not tests:
        raise RowError("unit_tests holds no function named test...")
    stale = raw.get("stale_solution")
    return ArenaRow(
        id=text(raw, "prog_syn_id"),
        updates=updates,
        scenario=text(raw, "scenario"),
        problem=text(raw, "problem"),
        solution_signature=text(raw, "solution_signature"),
        imports=joined(imports, "imports", "\n"),
        unit_tests=tests,
        ref_solution=text(raw, "ref_solution"),
        stale_solution=None if stale is None else text(raw, "stale_solution"),
        partial_solutions=_partial_solutions(raw, len(updates)),
    )


def _partial_solutions(raw: Mapping[str, Any], count: int) -> tuple[str | None, ...]:
    value = raw.get("partial_solutions")
    if value is None:
        return (None,) * count
    if not isinstance(value, list) or len(value) != count or count < 2:
        raise RowError(
            "the field partial_solutions must be a list with one entry (text or null) for each of "
            "the row's updates"
        )
    codes = (
        text({"partial_solutions": code}, "partial_solutions", required=False) for code in value
    )
    return tuple(code or None for code in codes)


def _problem(row: ArenaRow, cluster: str) -> Problem:
    answers = {"reference": row.ref_solution}
    if row.stale_solution is not None:
        answers["stale"] = row.stale_solution
    name = re.search(r"([A-Za-z_]\w*)\s*\(", row.solution_signature)
    return Problem(
        id=row.id,
        cluster=cluster,
        tags=_tags(row.updates),
        context={
            **_notes(row.updates),
            "scenario": row.scenario,
            "problem": row.problem,
            "solution_signature": row.solution_signature,
            "first_test": _shown_test(row.unit_tests[0]),
        },
        solutions=answers,
        payload=row,
        entry_point=name[1] if name else None,
    )


def _tags(updates: tuple[Update, ...]) -> dict[str, str]:
    tags = {
        "package": _distinct(update.package for update in updates),
        "update_type": _distinct(update.update_type for update in updates),
        "function": _distinct(update.function_path for update in updates),
    }
    return tags if len(updates) == 1 else {**tags, "updates": str(len(updates))}


def _distinct(values: Iterable[str]) -> str:
    return "+".join(sorted(set(values)))


def _notes(updates: tuple[Update, ...]) -> dict[str, Any]:
    """Return the prompt's variables about the updates: a list, and of a single one its fields."""
    shown = ("function_path", "package", "description", "signature", "docstring")
    notes = [{key: getattr(update, key) for key in shown} for update in updates]
    # A template for one update must not show the first of several as if it were all.
    return {"updates": notes, **(notes[0] if len(notes) == 1 else {})}


def _shown_test(test: Test) -> str:
    """Return the test's source without the call that `split_tests` put at its end."""
    return test.code.removesuffix(f"{test.name}()\n").rstrip()
