"""What is printed: consoles, and making text from models and data files safe to print."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_HARMLESS = {"\n", "\t"}
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn"}
_STDERR = 2
_LOG_WIDTH = 160
"""Columns where output goes to a file or a pipe: nothing need be cut there."""


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


def plural(count: float, word: str) -> str:
    """Return `1 run` or `3 runs`.

    >>> plural(1, "run"), plural(1200, "run"), plural(0.5, "step")
    ('1 run', '1,200 runs', '0.5 steps')
    """
    number = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    return f"{number} {word}{'' if count == 1 else 's'}"


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def prepare_streams() -> None:
    """Make the standard streams take whatever comes.

    Standard output spells out what its encoding lacks, instead of raising. Both streams outlive
    their readers. A stream that was closed
    (`>&-`) becomes the null device, else the first file to be opened would take its number and all
    that is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (
        _outliving(sys.stdout, sys.__stdout__),
        _outliving(sys.stderr, sys.__stderr__),
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


class _Outlet(io.FileIO):
    """A descriptor whose reader may go away (`recode-eval ... | head`).

    What nobody reads is dropped, and the command goes on: its exit code is its own. Any other
    error, such as a full disk, is raised once.
    """

    def write(self, content: Any) -> Any:
        """Write; after an error, drop everything."""
        try:
            return super().write(content)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if not isinstance(error, BrokenPipeError):
                raise
            return len(memoryview(content).cast("B"))


def _outliving(stream: TextIO, original: TextIO | None) -> TextIO:
    """Return a text stream on the same descriptor that outlives its reader.

    A stream that somebody put in the place of the interpreter's own stays as it is.
    """
    if stream is not original or not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Outlet(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextlib.contextmanager
def stdout_for_results() -> Iterator[None]:
    """Send to standard error whatever is written to standard output in here.

    Engines, their worker processes and C libraries print what they like; what a program reads from
    this one must be the results alone. Below Python, since theirs may be no Python.
    """
    try:
        sys.stdout.flush()
        out, err = sys.stdout.fileno(), sys.stderr.fileno()
        kept = os.dup(out)
    except (OSError, ValueError, AttributeError):  # a closed or replaced stream: nothing to guard
        yield
        return
    try:
        os.dup2(err, out)
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            os.dup2(kept, out)
            os.close(kept)


def stdout_console() -> Console:
    """Return a console for results; colour only on a terminal."""
    from rich.console import Console

    wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(
        file=sys.stdout,
        highlight=False,
        emoji=False,
        markup=False,
        width=_LOG_WIDTH if wide else None,
    )


def stderr_console() -> Console:
    """Return a console for progress and notes; colour only on a terminal."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, emoji=False, markup=False)
