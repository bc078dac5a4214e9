"""Reading the attack files: what each one is and how it must end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from recode_eval.attacks.dialects import DIALECTS, SUFFIXES
from recode_eval.errors import DataError, UsageError
from recode_eval.languages import PYTHON
from recode_eval.resources import resource_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EXPECT = re.compile(r"^Expect: (.+)$", re.MULTILINE)


class Expect(StrEnum):
    """How an attack must end. A clean world afterwards, and no escape, is required of all."""

    NOT_PASSED = "not passed"
    """None of its tests may come out as passed."""
    CONTAINED = "contained"
    """Its verdicts do not matter; only what it reaches or leaves does."""
    FLAGGED = "flagged"
    """No test inside the process can prevent it; the code must be flagged as suspicious. With the
    tests in a process of their own (isolation `split`) it must not pass, or be flagged."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack file."""

    name: str
    """`class/file`, without the suffix."""
    expect: Expect
    description: str
    """What it tries: the docstring without the line that says how it must end."""
    code: str
    language: str = PYTHON

    @property
    def kind(self) -> str:
        """The class of attacks it belongs to: the folder's name."""
        return self.name.partition("/")[0]


def attacks_folder() -> Path:
    """The folder with one subfolder per class of attacks."""
    return resource_dir("sandbox") / "attacks"


def honest_program(name: str, suffix: str = ".py") -> str:
    """The source of `victim` or `bystander`."""
    return (attacks_folder() / f"{name}{suffix}").read_text(encoding="utf-8")


def load_attacks(
    patterns: Sequence[str] = (),
    folder: Path | None = None,
    *,
    languages: Sequence[str] = (),
) -> list[Attack]:
    """Read the attacks whose name matches one of the patterns (all, if there are none).

    A pattern is a name (`forge/always_equal`), a class (`forge`), or has wildcards (`*/memory_*`).
    `folder` holds attacks of your own, instead of the bundled ones: files, or a folder per class.
    A file's suffix says its language; `languages` leaves out all others.

    Raises:
        DataError: a file is not a valid attack.
        UsageError: a pattern matches nothing, or the folder holds no attack in these languages.
    """
    root = attacks_folder() if folder is None else folder
    # The bundled folder also has honest programs, beside its classes.
    loose = [] if folder is None else folder.glob("*")
    wanted = {s for s, language in SUFFIXES.items() if not languages or language in languages}
    paths = sorted(path for path in [*loose, *root.glob("*/*")] if path.suffix in wanted)
    attacks = [read_attack(path) for path in paths]
    if not attacks:
        raise UsageError(f"no attack ({', '.join(f'`*{s}`' for s in sorted(wanted))}) in {root}")
    for pattern in patterns:
        if not any(_matches(attack, pattern) for attack in attacks):
            kinds = sorted({attack.kind for attack in attacks})
            raise UsageError(f"no attack matches {pattern!r}; the classes are: {', '.join(kinds)}")
    if not patterns:
        return attacks
    return [a for a in attacks if any(_matches(a, pattern) for pattern in patterns)]


def _matches(attack: Attack, pattern: str) -> bool:
    return attack.kind == pattern or fnmatchcase(attack.name, pattern)


def read_attack(path: Path) -> Attack:
    """Read one attack file.

    Raises:
        DataError: it is no text or no Python, or its docstring does not say how the attack must
            end. In languages without docstrings, the first block comment is one.
    """
    dialect = DIALECTS[SUFFIXES[path.suffix]]
    try:
        # Line ends are part of some attacks.
        code = path.read_bytes().decode("utf-8")
        docstring = dialect.comment(code)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path} is not readable as {dialect.language.capitalize()} ({error}); correct the file"
        ) from error
    found = _EXPECT.findall(docstring)
    allowed = [str(expect) for expect in Expect]
    if len(found) != 1 or found[0] not in allowed:
        raise DataError(
            f"{path}: the docstring needs one line `Expect: ...` that names one of: "
            f"{', '.join(allowed)}"
        )
    description = " ".join(_EXPECT.sub("", docstring).split())
    if not description:
        raise DataError(f"{path}: the docstring does not say what the attack tries; add a sentence")
    name = f"{path.resolve().parent.name}/{path.stem}"
    return Attack(name, Expect(found[0]), description, code, dialect.language)
