"""Making the committed signatures of a task (`tasks.signatures`): releases are asked once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recode_eval.errors import DataError, UsageError
from recode_eval.files import replace_file
from recode_eval.tasks.base import NamesApis
from recode_eval.tasks.release_docs import parent_of
from recode_eval.tasks.signatures import read_signatures, signatures_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from recode_eval.documentation.docstrings import ApiFacts, Key
    from recode_eval.tasks.base import Problem, Task

Asked = dict[str, dict[str, str | None]]
"""Environment -> dotted name -> signature, None where the release does not have it."""


def ask(
    task: Task,
    problems: Iterable[Problem],
    read: Callable[[Iterable[Key]], Mapping[Key, ApiFacts]],
) -> tuple[Asked, list[str]]:
    """Return the signatures of all APIs that the problems are about, and what cannot be asked.

    Raises:
        UsageError: the task's problems are not about APIs of releases.
        InfrastructureError: a release cannot be asked now.
    """
    if not isinstance(task, NamesApis) or signatures_path(task.spec) is None:
        raise UsageError(f"{task.spec.name} has no APIs whose signatures could be kept.")
    found: Asked = {}
    lost: list[str] = []
    wanted = dict.fromkeys(pair for problem in problems for pair in task.apis(problem))
    while wanted:
        absent = _ask(task.spec.environment, wanted, read, found, lost)
        # What is not there may be an argument: then its function is asked.
        parents = ((name, parent_of(path)) for name, path in absent)
        wanted = dict.fromkeys(
            (name, path) for name, path in parents if path and path not in found.get(name, {})
        )
    return found, lost


def _ask(
    own: str,
    wanted: Iterable[tuple[str, str]],
    read: Callable[[Iterable[Key]], Mapping[Key, ApiFacts]],
    found: Asked,
    lost: list[str],
) -> list[tuple[str, str]]:
    """Ask once, note what is found and lost, and return what is not there."""
    wanted = list(wanted)
    facts = read((None if name == own else name, path) for name, path in wanted)
    absent = []
    for name, path in wanted:
        fact = facts[None if name == own else name, path]
        if fact.why:
            lost.append(f"{path} in {name}: {fact.why}")
            continue
        found.setdefault(name, {})[path] = fact.signature
        if fact.absent:
            absent.append((name, path))
    return absent


def write(task: Task, found: Asked) -> Path:
    """Add signatures to the task's file and return its path; what is known of others stays.

    Raises:
        DataError: the file is malformed, or cannot be written.
    """
    path = signatures_path(task.spec)
    assert path is not None
    known = read_signatures(path)
    for name, signatures in found.items():
        known[name] = {**known.get(name, {}), **signatures}
    text = json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False)
    try:
        replace_file(path, f"{text}\n")
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror}.") from error
    return path
