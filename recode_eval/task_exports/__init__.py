"""Tasks in the formats of other programs; a module per format (docs/integrations.md).

A format is a function that yields files for a loaded task. Hidden tests and references are in none
of them, except where a format keeps them out of the model's reach.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from recode_eval.errors import StorageError, UsageError
from recode_eval.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from recode_eval.documentation.shown import PromptDocs
    from recode_eval.models.base import Prompt
    from recode_eval.tasks.base import Problem
    from recode_eval.tasks.loading import LoadedTask


@dataclass(frozen=True, slots=True)
class TaskFile:
    """One file below the folder that the user names."""

    path: str
    """Relative, with `/`."""
    text: str = ""
    executable: bool = False
    source: Path | None = None
    """A file whose content it has, instead of `text`."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported of a task."""

    prompt: str | None = None
    """A variant of the task; None: its default."""
    update_note: bool = True
    problems: tuple[Problem, ...] = ()
    data: str | None = None
    """The file that the rows were read from, if it was not the task's own source."""
    docs: PromptDocs | None = None
    """What a documentation arm shows of each of the problems; None: what the template says."""
    base_image: str | None = None
    """For formats with images; None: a public one with the Python that is needed."""
    wheels: bool = False
    """Put the libraries' wheels beside the images' recipes, which then need no network."""

    def no_images(self, name: str) -> None:
        """Raise `UsageError` if an option is set that a format without images cannot follow."""
        if self.base_image is not None or self.wheels:
            raise UsageError(
                f"--base-image and --wheels are for formats with images, and {name} has none."
            )


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
        "harbor": "recode_eval.task_exports.harbor:files",
    },
)


def prompts(loaded: LoadedTask, options: ExportOptions) -> list[tuple[Problem, Prompt]]:
    """Return the prompt of every problem; raises `UsageError` for an unknown variant."""
    from recode_eval.plugins import unknown
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.settings import PromptSettings

    spec = loaded.task.spec
    name = options.prompt or spec.default_prompt
    if name not in spec.prompts:
        raise UsageError(unknown(f"prompt of {spec.name}", name, sorted(spec.prompts)))
    path = spec.prompts[name].path
    note = options.update_note and options.docs is None
    template = PromptTemplate.from_file(path)
    settings = PromptSettings(name, template, str(path), note, options.docs)
    return [(p, settings.render(p)) for p in options.problems if settings.covers(p)]


def write(files: Iterable[TaskFile], out: Path) -> int:
    """Write files below a folder that is new or empty; return how many.

    Raises:
        UsageError: the folder holds something.
        StorageError: a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out} is not empty; choose another folder.")
    count = 0
    written: dict[Path, Path] = {}
    try:
        for file in files:
            parts = PurePosixPath(file.path).parts
            assert not PurePosixPath(file.path).is_absolute(), file.path
            assert ".." not in parts, file.path
            path = out.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.source is None:
                path.write_text(file.text, encoding="utf-8", errors="backslashreplace")
            elif not _linked(path, written.setdefault(file.source, path)):
                shutil.copyfile(file.source, path)
            path.chmod(0o755 if file.executable else 0o644)
            count += 1
    except OSError as error:
        raise StorageError(f"Cannot write to {out}: {error.strerror or error}.") from error
    return count


def _linked(path: Path, same: Path) -> bool:
    """Whether `path` could become another name of a file written before, which saves its bytes."""
    if path != same:
        with contextlib.suppress(OSError):  # a file system without links
            path.hardlink_to(same)
            return True
    return False
