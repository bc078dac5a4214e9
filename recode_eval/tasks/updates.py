"""Invented updates of library functions: reading them, and the statement that puts one in force.

A row has one update (`update`), or several that are in force at once (`updates`).
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from recode_eval.tasks.rows import RowError, joined, split_tests, statements, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.sandbox.base import Test

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


def parse_updates(raw: Mapping[str, Any]) -> tuple[Update, ...]:
    """Read the update of a raw row, or its updates, and check that they can be put in force.

    Raises:
        RowError: a field is missing or of the wrong type, an implementation does not fit its
            update's type, or two updates of the row cannot be in force at once.
    """
    several = raw.get("updates")
    if several is None:
        update = _parse_update(_decoded(raw.get("update"), "update"), raw)
        enforce_statement(update)
        return (update,)
    if raw.get("update") is not None:
        raise RowError("the row has both update and updates; give one of them")
    several = _decoded(several, "updates")
    if not isinstance(several, list) or len(several) < 2:
        raise RowError("the field updates must be a list of two or more; for one, use update")
    updates = []
    for number, content in enumerate(several):
        try:
            updates.append(_parse_update(content, {}))
            enforce_statement(updates[-1])
        except RowError as error:
            raise RowError(f"updates[{number}]: {error}") from error
    _check_together(updates)
    return tuple(updates)


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


def new_path(update: Update) -> str:
    """Return the dotted name under which the updated function is found."""
    parent = update.function_path.rpartition(".")[0]
    return f"{parent}.{_defined_name(update.implementation)}"


def _defined_name(implementation: str) -> str:
    body = statements(implementation, "update.implementation")
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    if len(names) != 1:
        raise RowError(f"update.implementation must hold exactly one def, not {len(names)}")
    return names[0]


def _check_together(updates: Sequence[Update]) -> None:
    """Refuse updates of which one would undo or shadow another when all are in force."""
    for first, second in combinations(updates, 2):
        both = f"the updates of {first.function_path} and {second.function_path}"
        if first.update_id == second.update_id:
            raise RowError(f"{both} have the same update_id, {first.update_id}")
        for one in sorted(_changed_paths(first)):
            for other in sorted(_changed_paths(second)):
                if f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}."):
                    raise RowError(
                        f"{both} cannot be in force at once: both change {max(one, other, key=len)}"
                    )
        # All of it is executed in one namespace, so the later definition would serve both.
        for name in sorted(_global_names(first) & _global_names(second)):
            raise RowError(f"{both} cannot be in force at once: both define the name {name}")


def _changed_paths(update: Update) -> set[str]:
    """Return what the enforce statement sets or deletes."""
    new = new_path(update)
    return {new} if update.update_type == "add-function" else {update.function_path, new}


def _global_names(update: Update) -> set[str]:
    """Return the names that the implementation and its imports define; modules do not count."""
    names = {_defined_name(update.implementation)}
    for node in statements(update.imports, "update.imports"):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def _decoded(value: object, key: str) -> object:
    """Return what a table without nested columns holds as JSON."""
    if not isinstance(value, str):
        return value
    try:
        decoded: object = json.loads(value)
    except (ValueError, RecursionError):
        raise RowError(f"the field {key} is text, but not JSON") from None
    return decoded


def _parse_update(update: object, row: Mapping[str, Any]) -> Update:
    if not isinstance(update, dict):
        raise RowError("the field update is missing or not an object")
    path = update.get("function_path") or update.get("api_path")
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise RowError(f"update.function_path must be a dotted name, not {path!r}")
    own_tests = update.get("unit_tests")
    return Update(
        update_id=text(row if "update_id" in row else update, "update_id"),
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
