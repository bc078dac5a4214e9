"""What was proven: a file of problems whose every check was seen to hold, each with a hash.

The hash is over the programs of a problem's checks and the pins they ran with, so that a changed
row, or another library in its environment, counts as new.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import msgspec

from recode_eval.errors import DataError, StorageError
from recode_eval.files import replace_file
from recode_eval.run.validate import OwnChecks, expectations
from recode_eval.sandbox.requirements import get_environment, has_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recode_eval.run.validate import Finding
    from recode_eval.tasks.base import Problem, Task

SCHEMA_VERSION: Final = 1


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    schema_version: int
    tasks: dict[str, dict[str, str]]


class Proven:
    """The file, or with None a list that nobody keeps."""

    def __init__(self, file: Path | None) -> None:
        """Raises `DataError` for a file that is none; one that does not exist yet is empty."""
        self._file = file
        self._tasks: dict[str, dict[str, str]] = {}
        if file is None or not file.exists():
            return
        try:
            content = msgspec.json.decode(file.read_bytes(), type=_Content)
        except OSError as error:
            raise DataError(f"Cannot read {file}: {error.strerror}.") from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise DataError(f"{file} is no list of proven problems ({error}).") from error
        if content.schema_version != SCHEMA_VERSION:
            raise DataError(f"{file}: written by another recode-eval; remove it and prove again.")
        self._tasks = content.tasks

    def holds(self, task: Task, problem: Problem) -> bool:
        """Whether the problem was proven as it is now.

        What no execution shows, such as a pattern that is not in the code, is looked at again: the
        hash does not hold it.
        """
        known = self._tasks.get(task.spec.name, {}).get(problem.id)
        if known is None or known != digest(task, problem):
            return False
        return not (isinstance(task, OwnChecks) and task.faults(problem))

    def add(self, task: Task, problems: Sequence[Problem], findings: Sequence[Finding]) -> None:
        """Note what was proven, forget what was refuted, and write the file."""
        if self._file is None:
            return
        known = self._tasks.setdefault(task.spec.name, {})
        for problem, finding in zip(problems, findings, strict=True):
            if finding.faults:
                known.pop(problem.id, None)
            elif not finding.ungraded:
                known[problem.id] = digest(task, problem)
        content = {
            "schema_version": SCHEMA_VERSION,
            "tasks": {name: dict(sorted(ids.items())) for name, ids in sorted(self._tasks.items())},
        }
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, json.dumps(content, indent=1) + "\n")
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"Cannot write {self._file}: {reason}") from error


def digest(task: Task, problem: Problem) -> str:
    """Hash what a problem's proof depends on, of this project and of the libraries' versions."""
    parts = []
    for one in expectations(task, problem):
        program = one.program
        name = program.environment or task.spec.environment
        parts.append(
            [
                one.name,
                one.passes,
                program.language,
                program.setup,
                program.candidate,
                [[test.name, test.code] for test in program.tests],
                get_environment(name).key if has_environment(name) else name,
            ]
        )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
