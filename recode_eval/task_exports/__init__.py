"""Tasks in the formats of other programs; a module per format (docs/integrations.md).

A format is a function that yields files for a loaded task. Hidden tests and references are in none
of them, except where a format keeps them out of the model's reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from recode_eval.errors import StorageError, UsageError
from recode_eval.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from recode_eval.models.base import Prompt
    from recode_eval.tasks.base import Problem
    from recode_eval.tasks.loading import LoadedTask


@dataclass(frozen=True, slots=True)
class TaskFile:
    """One file below the folder that the user names."""

    path: str
    """Relative, with `/`."""
    text: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported of a task."""

    prompt: str | None = None
    """A variant of the task; None: its default."""
    update_note: bool = True
    problems: tuple[Problem, ...] = ()


class TaskFormat(Protocol):
    """Writes a task in one format."""

    def __call__(self, loaded: LoadedTask, options: ExportOptions) -> Iterable[TaskFile]:
        """Yield the files; raises `UsageError` for a task that the format cannot take."""
        ...


FORMATS: Registry[TaskFormat] = Registry(
    "task format",
    "recode_eval.task_formats",
    {
        "jsonl": "recode_eval.task_exports.jsonl:files",
        "lm-eval": "recode_eval.task_exports.lm_eval:files",
    },
)


def prompts(loaded: LoadedTask, options: ExportOptions) -> list[tuple[Problem, Prompt]]:
    """Return the prompt of every problem; raises `UsageError` for an unknown variant."""
    from recode_eval.plugins import unknown
    from recode_eval.run.prompts import PromptTemplate

    spec = loaded.task.spec
    name = options.prompt or spec.default_prompt
    if name not in spec.prompts:
        raise UsageError(unknown(f"prompt of {spec.name}", name, sorted(spec.prompts)))
    template = PromptTemplate.from_file(spec.prompts[name].path)
    note = {"update_note": options.update_note}
    return [(p, template.render({**p.context, **note})) for p in options.problems]


def write(files: Iterable[TaskFile], out: Path) -> int:
    """Write files below a folder that is new or empty; return how many.

    Raises:
        UsageError: the folder holds something.
        StorageError: a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out} is not empty; choose another folder.")
    count = 0
    try:
        for file in files:
            parts = PurePosixPath(file.path).parts
            assert not PurePosixPath(file.path).is_absolute(), file.path
            assert ".." not in parts, file.path
            path = out.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8", errors="backslashreplace")
            path.chmod(0o755 if file.executable else 0o644)
            count += 1
    except OSError as error:
        raise StorageError(f"Cannot write to {out}: {error.strerror or error}.") from error
    return count
