"""Documentation arms: the names that a user gives, and the arm of a stored run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from recode_eval.errors import UsageError
from recode_eval.plugins import unknown
from recode_eval.terminal import one_line


class Kind(StrEnum):
    """Where an arm's texts come from."""

    NONE = "none"
    """The prompt does not tell of the update."""
    NOTE = "note"
    """The prompt's own note, written for the problem."""
    SIGNATURE = "signature"
    """Old and new signature, and the new docstring."""
    CHANGELOG = "changelog"
    """The notes of all changes of the release."""
    WRONG_VERSION = "wrong-version"
    """Signature and docstring of the old release."""
    MIXED = "mixed"
    """The right note among notes about other changes."""
    RETRIEVED = "retrieved"
    """What a search finds in a folder of the user's."""
    FILE = "file"
    """A file of the user's as it is."""
    FOLDER = "folder"
    """The documents of a folder of the user's as they are."""


_NAMED: Final = (
    Kind.NONE,
    Kind.NOTE,
    Kind.SIGNATURE,
    Kind.CHANGELOG,
    Kind.WRONG_VERSION,
    Kind.MIXED,
)
OF_TASKS: Final = (Kind.SIGNATURE, Kind.CHANGELOG, Kind.WRONG_VERSION, Kind.MIXED)
"""Arms with material of the task's own, in a block."""
_PREFIX = f"{Kind.RETRIEVED}:"


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm."""

    kind: Kind
    name: str
    """What results call it: never a path of this machine."""
    path: Path | None = None
    """The user's file or folder."""

    @property
    def is_block(self) -> bool:
        """Whether its text stands in a block of its own, not in the prompt's template."""
        return self.kind not in {Kind.NONE, Kind.NOTE}


def parse_arm(text: str) -> Arm:
    """Return the arm that a user names.

    A name of an arm means the arm; a file of that name is `./note`. Results call a file
    `file:AGENTS.md`; of a relative path the last two parts, so that `old/AGENTS.md` and
    `new/AGENTS.md` can be told apart.

    Raises:
        UsageError: it is neither an arm nor a file or folder that is there.

    >>> parse_arm("wrong-version").name
    'wrong-version'
    >>> parse_arm("retrieved:.").kind
    <Kind.RETRIEVED: 'retrieved'>
    """
    if text in set(_NAMED):
        return Arm(Kind(text), text)
    searched = text.startswith(_PREFIX)
    given = text.removeprefix(_PREFIX)
    try:
        path = Path(given).expanduser()
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError, RuntimeError):  # a zero byte, a name too long, no home
        is_file = is_folder = False
    if searched and not (given and is_folder):
        raise UsageError(f"--docs {one_line(text, 120)}: {one_line(given, 100)!r} is no folder.")
    if not is_file and not is_folder:
        names = [*_NAMED, f"{_PREFIX}FOLDER", "FILE", "FOLDER"]
        raise UsageError(
            f"--docs: {unknown('documentation arm', one_line(text, 120), names)} There is no such "
            "file or folder either."
        )
    kind = Kind.RETRIEVED if searched else Kind.FILE if is_file else Kind.FOLDER
    return Arm(kind, f"{kind}:{_short(Path(given))}", path)


def _short(path: Path) -> str:
    parts = [part for part in path.parts if part not in {"/", ".", "..", "~"}]
    shown = parts[-1:] if path.is_absolute() else parts[-2:]
    return one_line("/".join(shown), 80) or "."


def arm_of(results: Any) -> str:
    """Return the arm of a run: `results` are the content of results.json, read or as JSON.

    >>> arm_of({"prompt": {"update_note": False}})
    'none'
    """
    prompt = results["prompt"]
    if docs := prompt.get("docs"):
        return one_line(str(docs["arm"]), 120)
    return Kind.NOTE.value if prompt["update_note"] else Kind.NONE.value
