"""`recode-eval library init`: write the folder, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from recode_eval import __version__
from recode_eval.errors import StorageError, UsageError
from recode_eval.files import check_folder_place
from recode_eval.mining.adoption import adopt_locks
from recode_eval.mining.authoring.drafts import Draft, row_of, writable
from recode_eval.mining.kit.example import first_pair
from recode_eval.mining.pipeline import CANDIDATES
from recode_eval.run.prompts import LONGEST_FILE
from recode_eval.tasks.registry import create_task
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recode_eval.mining.candidates import Candidate
    from recode_eval.mining.pipeline import Mined
    from recode_eval.sandbox.base import Sandbox

_TEMPLATES: Final = Path(__file__).with_name("templates")
_FILES: Final = {
    "README.md": "README.md.jinja2",
    "task/task.yaml": "task.yaml.jinja2",
    "task/plain.jinja2": "plain.jinja2",
    "task/agents.jinja2": "agents.jinja2",
    ".github/workflows/update.yml": "update.yml.jinja2",
}
_IN_AGENTS: Final = 20
"""Changes that the draft of AGENTS.md names."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What was written."""

    folder: Path
    task: str
    candidates: int
    example: str | None
    """The id of the first pair; None: no rule made one, and a sketch lies in its place."""


def check_folder(folder: Path) -> None:
    """Make sure of the place, because minutes of mining come before the folder.

    Raises:
        UsageError: it is not empty, is a file, or lies below one.
        StorageError: it cannot be written to.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} exists and is not empty; name another folder with --out.")
    check_folder_place(folder)


def check_agents(file: Path | None) -> None:
    """Raise `UsageError` unless a prompt can hold the user's AGENTS.md."""
    if file is not None:
        _read_agents(file)


def write_kit(folder: Path, mined: Mined, sandbox: Sandbox, agents: Path | None = None) -> Kit:
    """Write the folder of a library from what was mined; `agents` is the user's AGENTS.md.

    Raises:
        UsageError: the folder is not empty, AGENTS.md cannot be read, or nothing was mined.
        StorageError: a file cannot be written.
    """
    check_folder(folder)
    if not mined.candidates:
        lost = {
            reason for stage in mined.stages if stage.name == "releases" for reason in stage.lost
        }
        cause = f" (of the releases: {one_line(', '.join(sorted(lost)))})" if lost else ""
        raise UsageError(
            f"No change was found between the two releases{cause}, so there is nothing to ask a "
            "model about. Check the library's name and the versions; `recode-eval mine` with the "
            "same releases says where names were lost."
        )
    first = mined.candidates[0]
    library, old, new = first.library, first.old_version, first.new_version
    locks = adopt_locks(mined)
    task: Any = create_task("migration")
    row = first_pair(mined.candidates, task, sandbox)
    name = re.sub("[^a-z0-9]+", "-", f"{library}-update".lower())
    context = {
        "library": library,
        "old": old,
        "new": new,
        "task": name,
        "version": __version__,
        "candidates": len(mined.candidates),
        "executed": sum(one.executed for one in mined.candidates),
        "example": "the first one was made by rule, as an example"
        if row
        else "write the first one from the sketch beside the folder",
        "proposed": mined.candidates[:_IN_AGENTS],
        "changes": [one for one in mined.candidates if one.executed][:_IN_AGENTS],
    }
    told = _agents(agents, context)
    try:
        with _whole(folder) as draft:
            _write(draft, context, told, mined, locks, row)
    except OSError as error:
        raise StorageError(f"Cannot write {folder}: {error.strerror or error}") from error
    return Kit(folder, name, len(mined.candidates), None if row is None else str(row["id"]))


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Give a draft that becomes the folder; nothing of it stays where something fails.

    A folder that exists is empty (`check_folder`) and may be the one that the user is in.
    """
    if existed := folder.is_dir():
        draft = folder / f".new.{os.getpid()}"
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        yield draft
        if existed:
            for file in draft.iterdir():
                file.rename(folder / file.name)
        else:
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _agents(file: Path | None, context: dict[str, Any]) -> str:
    return _render("AGENTS.md.jinja2", context) if file is None else _read_agents(file)


def _read_agents(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {file}: {error}.") from error
    if len(text) > LONGEST_FILE:
        raise UsageError(f"{file} is longer than 1 MiB, too long for any model's context.")
    return text


def _write(
    folder: Path,
    context: dict[str, Any],
    agents: str,
    mined: Mined,
    locks: Iterable[Path],
    row: dict[str, Any] | None,
) -> None:
    for name, template in _FILES.items():
        _put(folder / name, _render(template, context))
    _put(folder / "task" / "AGENTS.md", agents)
    pairs = folder / "task" / "pairs"
    if row is not None:
        _put(pairs / "pairs.yaml", rows_as_yaml([row]))
    else:
        _put(pairs / "pairs.yaml", "[]\n")
        about = next(filter(writable, mined.candidates), mined.candidates[0])
        _put(folder / "task" / "first-pair.sketch.yaml", _sketch(about))
    for lock in locks:
        _put(folder / "task" / "envs" / lock.name, lock.read_text(encoding="utf-8"))
    for name in (CANDIDATES, "stages.json"):
        _put(folder / "mined" / name, (mined.folder / name).read_text(encoding="utf-8"))


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # JSON can spell half of a character, which no file takes.
    file.write_text(text, encoding="utf-8", errors="backslashreplace")


def _render(template: str, context: dict[str, Any]) -> str:
    """Render a template; what a library's notes and names hold stays on its line."""
    environment = Environment(  # noqa: S701 - no HTML
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: one_line(value) if isinstance(value, str) else value,
    )
    return environment.get_template(template).render(context)


def _sketch(candidate: Candidate) -> str:
    draft = Draft(
        description="WRITE: what the program defines, with arguments and results",
        note="WRITE: what changed and what takes its place, without the solution",
        old_code="# WRITE: a program for the old release\n",
        new_code="# WRITE: the same program for the new release\n",
        tests="def test_it():\n    assert False, 'WRITE: call what the program defines'\n",
        old_patterns=(),
        new_patterns=(),
    )
    row = {
        **row_of(candidate, draft, 1, "test"),
        "old_use": [candidate.api],
        "new_use": [candidate.new_api] if candidate.new_api else [],
    }
    if candidate.note is None:
        row["provenance"] = "WRITE: the release notes, and the place in them"
    return (
        "# Fill in what says WRITE, and move the entry into pairs/pairs.yaml.\n"
        f"{rows_as_yaml([row])}"
    )


class _Dumper(yaml.SafeDumper):
    """Writes programs as blocks, so that people can read and mend them."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _block)


def rows_as_yaml(rows: Sequence[dict[str, Any]]) -> str:
    r"""Return rows as a file of pairs.

    >>> print(rows_as_yaml([{"id": "a", "tests": "one\ntwo\n"}]), end="")
    - id: a
      tests: |
        one
        two
    """
    return yaml.dump(list(rows), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
