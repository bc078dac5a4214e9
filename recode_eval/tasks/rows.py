"""Checking rows: the fields of a raw record, the code in them, and a whole file of them.

What task kinds share. A row is data of someone else: each function here takes anything and raises
`RowError`, whose text names the field and what is wrong with it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, TypeVar

from recode_eval.errors import DataError
from recode_eval.languages import PYTHON, get_language
from recode_eval.resources import resource_dir
from recode_eval.sandbox.base import Test
from recode_eval.tasks import data
from recode_eval.tasks.base import BadRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from recode_eval.tasks.base import TaskSpec

Parsed = TypeVar("Parsed")


class RowError(ValueError):
    """A row breaks the schema; the text says how."""


def open_rows(
    spec: TaskSpec,
    source: str | None,
    read_folder: Callable[..., Iterator[data.Row]] = data.read_yaml_folder,
) -> tuple[str, Iterator[data.Row]]:
    """Return a name for people and the rows: of the file `source`, else of the task's own data.

    Raises:
        DataError: the task.yaml names no source in a known form, or a folder without rows.
    """
    if source is not None:
        path = data.data_path(source)
        return path.name, data.read_file(path)
    match spec.data:
        case {"folder": str(folder)}:
            name = "the bundled data" if is_bundled(spec) else f"the folder {folder} of {spec.name}"
            return name, read_folder(_data_folder(spec, folder))
        case {"file": str(file)}:
            path = spec.folder / file
            return path.name, data.read_file(path)
        case {"hub": {"path": str(), "split": str()} as hub}:
            return str(hub["path"]), data.read_hub(hub, spec.name)
    raise DataError(
        f"{spec.folder / 'task.yaml'}: data must be {{folder: ...}}, {{file: ...}} or "
        "{hub: {path: ..., split: ...}}."
    )


def is_bundled(spec: TaskSpec) -> bool:
    """Whether the task is this project's own, and not one of the user's."""
    return spec.folder.is_relative_to(resource_dir("tasks"))


def _data_folder(spec: TaskSpec, name: str) -> Path:
    """Return a task's own data folder; raises `DataError` if it holds no YAML file."""
    folder = spec.folder / name
    if any(folder.glob("*.yaml")):
        return folder
    cause = "holds no .yaml file" if folder.is_dir() else "does not exist"
    raise DataError(
        f"Task {spec.name}: its data folder {folder} {cause}. Restore it (for a bundled task, "
        f"install recode-eval again), correct data.folder in {spec.folder / 'task.yaml'}, or give "
        f"the rows with --data {spec.name}=FILE."
    )


def parse_rows(
    rows: Iterable[data.Row],
    parse: Callable[[Mapping[str, Any]], Parsed],
    key: Callable[[Parsed], str],
) -> tuple[dict[str, Parsed], list[BadRow]]:
    """Parse every row; returns the good ones by their id (`key`), and what is wrong with others."""
    good: dict[str, Parsed] = {}
    bad: list[BadRow] = []
    for where, raw in rows:
        if isinstance(raw, BadRow):
            bad.append(raw)
            continue
        try:
            row = parse(raw)
            if key(row) in good:
                raise RowError(f"the id {key(row)} occurs twice")
        except RowError as error:
            bad.append(BadRow(where, str(error)))
        else:
            good[key(row)] = row
    return good, bad


def text(record: Mapping[str, Any], key: str, *, required: bool = True) -> str:
    """Return a field of text; a missing one is an error, or empty if it is not `required`."""
    value = record.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        found = "missing" if value is None else f"of type {type(value).__name__}"
        raise RowError(f"the field {key} is {found}; text is expected")
    if required and not value.strip():
        raise RowError(f"the field {key} is empty")
    return _encodable(value, key)


def text_list(record: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a field that is a list of text; a missing one is empty."""
    value = record.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RowError(f"the field {key} must be a list of text")
    return tuple(_encodable(item, key) for item in value)


def joined(value: object, key: str, separator: str) -> str:
    """Return text given as text, as a list of text, or as the repr of such a list."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise RowError(
                f"the field {key} looks like a list but is not readable as one"
            ) from None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = separator.join(value)
    if not isinstance(value, str):
        found = "missing" if value is None else f"of type {type(value).__name__}"
        raise RowError(f"the field {key} is {found}; text or a list of text is expected")
    return _encodable(value, key)


def _encodable(value: str, key: str) -> str:
    # JSON can spell half of a character; no file, tokeniser or server takes it.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowError(f"the field {key} holds a lone surrogate, which is not valid text") from None
    return value


def split_tests(source: str, key: str, language: str = PYTHON) -> tuple[Test, ...]:
    """Split test code into tests, in order; each is a program that fails if the test does.

    Raises:
        RowError: the source does not parse.
    """
    try:
        found = get_language(language).split_tests(source)
    except ValueError as error:
        raise RowError(f"{key} {error}") from error
    return tuple(Test(test.name, test.code) for test in found)


def statements(source: str, key: str) -> list[ast.stmt]:
    """Parse Python and return its top-level statements; raises `RowError` if it is not Python."""
    from recode_eval.languages.python.split_tests import statements as parsed

    try:
        return parsed(source)
    except ValueError as error:
        raise RowError(f"{key} {error}") from error
