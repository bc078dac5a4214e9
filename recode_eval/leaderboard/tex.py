"""Making any text harmless in LaTeX and BibTeX: it prints as it is and does nothing.

Braces come in pairs, as BibTeX counts them even after a backslash.
"""

from __future__ import annotations

import re
from typing import Final

from recode_eval.terminal import one_line

_SPECIAL: Final = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\symbol{34}",
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    # Alone these are letters; at the start of a row, or twice, LaTeX takes them for more.
    "[": "{[}", "]": "{]}", "*": "{*}", "-": "{-}", "'": "{'}", ",": "{,}", "!": "{!}", "?": "{?}",
}  # fmt: skip
_PLAIN: Final = re.compile(r"[A-Za-z0-9 .:;/()=+@\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e]")
_NOT_IN_OT1: Final = frozenset("ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲų")
"""Latin letters that the usual font encoding lacks. What else is plain prints without a package."""
_SINGLE: Final = re.compile(r"(?<![-,'!?])([-,'!?])(?![-,'!?`])")
"""Punctuation that stands alone and therefore needs no braces."""


def tex(text: object, longest: int = 200) -> str:
    r"""Return one line of LaTeX that prints `text`; letters that LaTeX lacks become `(U+4E2D)`.

    >>> print(tex("my_model {50% of} a--b"))
    my\_model \textbraceleft{}50\% of\textbraceright{} a{-}{-}b
    """
    line = one_line(text, longest)
    alone = {found.start() for found in _SINGLE.finditer(line)}
    return "".join(c if i in alone else _escaped(c) for i, c in enumerate(line))


def _escaped(character: str) -> str:
    if character == "…":
        return r"\dots{}"
    if _PLAIN.fullmatch(character) and character not in _NOT_IN_OT1:
        return character
    return _SPECIAL.get(character) or f"(U+{ord(character):04X})"
