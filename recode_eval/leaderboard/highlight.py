"""Code as tokens for the page: a flat list of class, text, class, text, ...

The page makes a text node of every text, so that nothing in the code can become markup. Code that
is too long to be worth it, or that the lexer cannot take, is one token without a class.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from recode_eval.leaderboard.text import cut

LONGEST = 20_000
"""Characters up to which code is coloured; the lexer is not linear on hostile text."""

_CLASSES = (
    ("Comment", "c"), ("Keyword", "k"), ("Operator.Word", "k"), ("Literal.String", "s"),
    ("Literal.Number", "n"), ("Name.Function", "f"), ("Name.Class", "f"),
    ("Name.Builtin", "b"), ("Name.Exception", "b"), ("Name.Decorator", "d"),
)  # fmt: skip


@lru_cache(maxsize=4096)
def tokens(code: str, language: str = "python") -> tuple[str, ...]:
    """Return the `shown` code in pieces: class (or an empty text) and text by turns.

    `language` is a name that Pygments knows; code in any other is one piece.
    """
    text = cut(code)
    lexer = None if len(code) > LONGEST else _lexer(language)
    if lexer is None:
        return "", text
    pieces: list[str] = []
    for token, piece in lexer.get_tokens(text):
        name = _class(token)
        if pieces and (pieces[-2] == name or not piece.strip()):
            pieces[-1] += piece
        else:
            pieces += [name, piece]
    return tuple(pieces)


@cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=256)
def _class(token: Any) -> str:
    name = str(token).removeprefix("Token.")
    return next((short for prefix, short in _CLASSES if name.startswith(prefix)), "")
