"""Python programs without comments and blank lines, so that only what they say is compared.

On tokens, since a `#` may stand in a string; programs in which that cannot be go a way ten times as
fast. Docstrings stay.
"""

from __future__ import annotations

import io
import re
import tokenize

from recode_eval.languages.base import MAX_CODE_CHARS
from recode_eval.languages.python.syntax import parses

_LAYOUT = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)
_MANY_LINES = re.compile(r"\\|\"{3}|'{3}")
_LINE_END = re.compile(r"\r\n|\r|\n")
_NO_OPERATORS = frozenset("$?!`")
# Python 3.12 splits an f-string into tokens; its inner lines belong to it all the same.
_FSTRING_START = getattr(tokenize, "FSTRING_START", None)
_FSTRING_END = getattr(tokenize, "FSTRING_END", None)
_TOKENISER_ERRORS = (
    tokenize.TokenError,
    SyntaxError,
    ValueError,
    RecursionError,
    MemoryError,
    SystemError,
)


def normalize(code: str) -> str:
    """Return `code` without `#` comments and blank lines; code that has no tokens as it is.

    Docstrings and every other string stay untouched, blank lines inside of them too. White space
    that stood before a removed comment goes with it. Lines end with line feeds, the last one with
    nothing. Code that cannot be tokenised, or longer than `MAX_CODE_CHARS`, is returned unchanged.
    """
    if len(code) > MAX_CODE_CHARS or "\0" in code:  # NUL bytes crash the tokeniser of Python 3.12
        return code
    if parses(code):
        plain = _without_plain_comments(code)
        if plain is not None:
            return plain
    return _by_tokens(code)


def _by_tokens(code: str) -> str:
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    try:
        kept = _cut_comments(lines)
    except _TOKENISER_ERRORS:
        return code
    return "\n".join(
        line
        for row, line in enumerate(lines, start=1)
        # A blank line after a backslash ends the statement.
        if row in kept or line.strip() or (row > 1 and lines[row - 2].endswith("\\"))
    )


def _without_plain_comments(program: str) -> str | None:
    """Normalize a program without the tokeniser, ten times as fast; None where that is not sure.

    Where no string spans lines and no quote stands before the first `#` of a line, that `#` starts
    a comment.
    """
    if _MANY_LINES.search(program):
        return None
    kept = []
    for line in _LINE_END.split(program):
        code, mark, _ = line.partition("#")
        if mark and ('"' in code or "'" in code):
            return None
        text = code.rstrip() if mark else line
        if text.strip():
            kept.append(text)
    return "\n".join(kept)


def _cut_comments(lines: list[str]) -> set[int]:
    """Cut the comments out of `lines`, in place; return the rows (from 1) with code or strings."""
    source = io.StringIO("\n".join(lines))
    covered: set[int] = set()
    fstring_rows: list[int] = []
    comments: list[tuple[int, int, int]] = []
    for token in tokenize.generate_tokens(source.readline):
        (row, column), (end_row, end_column) = token.start, token.end
        # Python 3.12 calls a stray "$" an operator; "!" is one inside of an f-string only.
        stray = token.type == tokenize.OP and token.string in _NO_OPERATORS
        if token.type == tokenize.ERRORTOKEN or (
            stray and not (fstring_rows and token.string == "!")
        ):
            raise tokenize.TokenError(f"not Python at {row}:{column}")
        if token.type == tokenize.COMMENT:
            comments.append((row, column, end_column))
        elif token.type == _FSTRING_START:
            fstring_rows.append(row)
        elif token.type == _FSTRING_END:
            covered.update(range(fstring_rows.pop(), end_row + 1))
        elif token.type not in _LAYOUT:
            covered.update(range(row, end_row + 1))
    for row, column, end_column in comments:
        line = lines[row - 1]
        lines[row - 1] = (line[:column] + line[end_column:]).rstrip()
    return covered
