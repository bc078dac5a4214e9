"""Fenced code blocks of a Markdown text, by CommonMark's line rules, in linear time.

The rules that matter for code: a fence is at least three backticks or tildes alone on a line; it is
closed by the same character, at least as many, with nothing behind and indented at most three
columns more than the opening, so backticks inside a longer fence, inside a line or inside an
indented docstring stay part of the code. Two liberties, since models nest fences in lists and
tags: an opening may be indented by any amount, and no other block structure is looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_FENCE_LINE = re.compile(r"^([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+([^\n]*+)", re.MULTILINE)
_LANGUAGE = re.compile(r"\{?\.?([A-Za-z0-9_+#-]*)")
_MAX_CLOSING_INDENT = 3
_TAB = 4


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block: `code` is its content, `start` and `end` are offsets of the whole block."""

    language: str
    code: str
    start: int
    end: int
    closed: bool

    def is_tagged(self, tags: frozenset[str]) -> bool:
        """Whether the block has one of the tags (`Language.fence_tags`)."""
        return self.language in tags

    def may_be(self, tags: frozenset[str]) -> bool:
        """Whether the block has one of the tags, or none at all."""
        return not self.language or self.is_tagged(tags)


class _Marker(NamedTuple):
    """A line that can open or close a fence."""

    width: int
    character: str
    length: int
    info: str
    start: int
    end: int

    @property
    def opens(self) -> bool:
        # "```x = 1```" on one line is inline code, not a fence.
        return self.character == "~" or "`" not in self.info

    def closes(self, opening: _Marker) -> bool:
        return (
            self.character == opening.character
            and self.length >= opening.length
            and not self.info.strip()
            and self.width <= opening.width + _MAX_CLOSING_INDENT
        )


def fences(text: str) -> list[Fence]:
    """Return the fenced blocks of `text` in order; only the last one can be unclosed.

    Lines end with a line feed; other separators of `str.splitlines` are part of the code.
    """
    found: list[Fence] = []
    opening: _Marker | None = None
    for line in _FENCE_LINE.finditer(text):
        marker = _Marker(_width(line[1]), line[2][0], len(line[2]), line[3], *line.span())
        if opening is None:
            opening = marker if marker.opens else None
        elif marker.closes(opening):
            found.append(_fence(text, opening, marker))
            opening = None
    if opening is not None:
        found.append(_fence(text, opening, None))
    return found


def _fence(text: str, opening: _Marker, closing: _Marker | None) -> Fence:
    content = text[opening.end + 1 : closing.start if closing else len(text)]
    content = content.removesuffix("\n")
    language = _LANGUAGE.match(opening.info)
    return Fence(
        language=language[1].lower() if language else "",
        code=_unindented(content, opening.width) if opening.width else content,
        start=opening.start,
        end=closing.end if closing else len(text),
        closed=closing is not None,
    )


def _width(indent: str) -> int:
    return len(indent.expandtabs(_TAB))


def _unindented(content: str, width: int) -> str:
    """Remove up to `width` columns of white space from the start of every line."""
    return "\n".join(_without_indent(line, width) for line in content.split("\n"))


def _without_indent(line: str, width: int) -> str:
    column = 0
    for index, character in enumerate(line):
        if column >= width or character not in " \t":
            # A tab may reach beyond `width`: what it reaches over stays, as spaces.
            return " " * max(0, column - width) + line[index:]
        column += _TAB - column % _TAB if character == "\t" else 1
    return " " * max(0, column - width)
