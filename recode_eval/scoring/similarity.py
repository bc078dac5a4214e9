"""How close a program is to the reference: EM, ES and their reward forms EM*, ES*.

Both sides are normalised first: comments and blank lines go, on tokens; docstrings stay. Formulas
after Wu et al., *ReCode*, arXiv 2506.20495. Linear up to the edit distance, which rapidfuzz counts
64 characters at a time; nothing is executed.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass
from functools import lru_cache

from recode_eval.languages.python.syntax import MAX_CODE_CHARS, parses

NO_PROGRAM = -2.0
"""ES* and EM* where there is no code or it does not parse."""
WRONG_PROGRAM = -1.5
"""EM* of a program that differs; also the lower end of ES* of a program."""
EXACT = 2.0
"""EM* of the reference itself; also the upper end of ES*."""

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


@dataclass(frozen=True, slots=True)
class Similarity:
    """Similarity of one candidate to its reference; ES and EM in [0, 1], the others in [-2, 2]."""

    es: float
    em: float
    es_star: float
    em_star: float


def normalise(code: str) -> str:
    """Return `code` without `#` comments and blank lines; code that has no tokens as it is.

    Docstrings and every other string stay untouched, blank lines inside of them too. White space
    that stood before a removed comment goes with it. Lines end with line feeds, the last one with
    nothing. Code that cannot be tokenised, or longer than `MAX_CODE_CHARS`, is returned unchanged.
    """
    return _normalised(code, is_program=None)


def _normalised(code: str, *, is_program: bool | None) -> str:
    if len(code) > MAX_CODE_CHARS or "\0" in code:  # NUL bytes crash the tokeniser of Python 3.12
        return code
    if parses(code) if is_program is None else is_program:
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
        # A blank line behind a backslash ends the statement.
        if row in kept or line.strip() or (row > 1 and lines[row - 2].endswith("\\"))
    )


def _without_plain_comments(program: str) -> str | None:
    """Normalise a program without the tokeniser, ten times as fast; None where that is not sure.

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


@lru_cache(maxsize=256)
def _normalised_reference(code: str) -> str:
    # All samples of a problem are compared with one reference; its tokens are half of the work.
    return normalise(code)


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


def exact_match(candidate: str, reference: str) -> float:
    """Return EM: 1.0 if the normalised programs are equal, else 0.0."""
    return float(normalise(candidate) == normalise(reference))


def edit_similarity(candidate: str, reference: str) -> float:
    """Return ES = 1 - Levenshtein / longer length, by characters, in [0, 1]; two empty ones: 1."""
    return _edit_similarity(normalise(candidate), normalise(reference))


def es_star(candidate: str | None, reference: str) -> float:
    """Return ES*: 3.5 ES - 1.5, in [-1.5, 2], if `candidate` parses, else -2."""
    return similarity_scores(candidate, reference).es_star


def em_star(candidate: str | None, reference: str) -> float:
    """Return EM*: 2 if the normalised programs are equal, -1.5 if the candidate parses, else -2."""
    return similarity_scores(candidate, reference).em_star


def similarity_scores(candidate: str | None, reference: str) -> Similarity:
    """Return all four measures; None (no code in the completion) is the worst of each."""
    if candidate is None:
        return Similarity(es=0.0, em=0.0, es_star=NO_PROGRAM, em_star=NO_PROGRAM)
    is_program = parses(candidate)
    ours = _normalised(candidate, is_program=is_program)
    theirs = _normalised_reference(reference)
    similarity = _edit_similarity(ours, theirs)
    wrong = WRONG_PROGRAM if is_program else NO_PROGRAM
    scaled = WRONG_PROGRAM + (EXACT - WRONG_PROGRAM) * similarity
    return Similarity(
        es=similarity,
        em=float(ours == theirs),
        es_star=scaled if is_program else NO_PROGRAM,
        em_star=EXACT if ours == theirs else wrong,
    )


def _edit_similarity(first: str, second: str) -> float:
    from rapidfuzz.distance import Levenshtein

    longest = max(len(first), len(second))
    if not longest:
        return 1.0
    # The distance costs len * len / 64. Where that takes seconds it is bounded from above (so ES
    # from below): the distance of the heads and every character of the longer tail.
    head = MAX_CODE_CHARS if len(first) * len(second) > MAX_CODE_CHARS**2 else longest
    tail = longest - head if first[head:] != second[head:] else 0
    return 1.0 - (Levenshtein.distance(first[:head], second[:head]) + tail) / longest
