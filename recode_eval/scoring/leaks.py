"""Whether a text gives a solution away: it holds a passage of what the solution changes."""

from __future__ import annotations

import io
import re
import tokenize
from typing import Final

LEAK_TOKENS: Final = 8
"""A run of this many tokens of the changed code in the note gives the solution away; a call with
its name and one argument has up to six."""
_SKIPPED = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
)
_PART = re.compile(r"\w+|\W")


def leaked(note: str, old_code: str, new_code: str) -> str:
    r"""Return the longest passage of the changed lines in the note, if it is too long.

    Passages are compared token by token, so that line breaks and spaces do not hide one.

    >>> leaked("Write x = f(a, b=c, d=e) now.", "x = g(a)\n", "x = f(a, b=c, d=e)\n")
    'x = f ( a , b = c , d = e )'
    >>> leaked("f takes its place.", "x = g(a)\n", "x = f(a, b=c, d=e)\n")
    ''
    """
    told = f" {' '.join(_tokens(note))} "
    old_lines = {line.strip() for line in old_code.splitlines()}
    longest: list[str] = []
    for line in new_code.splitlines():
        if not line.strip() or line.strip() in old_lines:
            continue
        tokens = _tokens(line)
        for start in range(len(tokens)):
            end = start + max(LEAK_TOKENS, len(longest) + 1)
            while end <= len(tokens) and f" {' '.join(tokens[start:end])} " in told:
                longest = tokens[start:end]
                end += 1
    return " ".join(longest)


def _tokens(text: str) -> list[str]:
    """Return Python's tokens of a text; of what is no Python as far as they go, word by word."""
    found: list[str] = []
    for line in text.splitlines():
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(line).readline))
        except (tokenize.TokenError, SyntaxError, ValueError):
            tokens = _by_word(line)
        found += [one.string for one in tokens if one.type not in _SKIPPED and one.string.strip()]
    return found


def _by_word(line: str) -> list[tokenize.TokenInfo]:
    tokens: list[tokenize.TokenInfo] = []
    for word in line.split():
        try:
            tokens += tokenize.generate_tokens(io.StringIO(word).readline)
        except (tokenize.TokenError, SyntaxError, ValueError):  # a lone bracket or quote
            for part in _PART.findall(word):
                tokens.append(tokenize.TokenInfo(tokenize.OP, part, (1, 0), (1, 1), word))
    return tokens
