"""What is printed: consoles, and making text from models and data files safe to print."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_HARMLESS = {"\n", "\t"}
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn"}


def printable(text: object) -> str:
    """Return text in which escape sequences, direction marks and lone surrogates are spelt out."""
    return "".join(
        c if c in _HARMLESS or unicodedata.category(c) not in _UNSAFE else _spelt(c)
        for c in str(text)
    )


def one_line(text: object, limit: int = 500) -> str:
    """Return `printable` text on one line, cut at `limit` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def stdout_console() -> Console:
    """Return a console for results; colour only on a terminal."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, emoji=False, markup=False)


def stderr_console() -> Console:
    """Return a console for progress and notes; colour only on a terminal."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, emoji=False, markup=False)
