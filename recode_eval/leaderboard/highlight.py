"""Python code as tokens for the page: a flat list of class, text, class, text, ...

The page makes a text node of every text, so that nothing in the code can become markup. Code that
is too long to be worth it, or that the lexer cannot take, is one token without a class.
"""

from __future__ import annotations

from functools import lru_cache

from recode_eval.leaderboard.text import cut

LONGEST = 20_000
"""Characters up to which code is coloured; the lexer is not linear on hostile text."""

_CLASSES = (
    ("Comment", "c"), ("Keyword", "k"), ("Operator.Word", "k"), ("Literal.String", "s"),
    ("Literal.Number", "n"), ("Name.Function", "f"), ("Name.Class", "f"),
    ("Name.Builtin", "b"), ("Name.Exception", "b"), ("Name.Decorator", "d"),
)  # fmt: skip


@lru_cache(maxsize=4096)
def tokens(code: str) -> tuple[str, ...]:
    """Return the `shown` code in pieces: class (or an empty text) and text by turns."""
    text = cut(code)
    if len(code) > LONGEST:
        return "", text
    from pygments.lexers.python import PythonLexer

    lexer = PythonLexer(stripnl=False, ensurenl=False)
    pieces: list[str] = []
    for token, piece in lexer.get_tokens(text):
        name = _class(str(token))
        if pieces and (pieces[-2] == name or not piece.strip()):
            pieces[-1] += piece
        else:
            pieces += [name, piece]
    return tuple(pieces)


@lru_cache(maxsize=256)
def _class(token: str) -> str:
    name = token.removeprefix("Token.")
    return next((short for prefix, short in _CLASSES if name.startswith(prefix)), "")
