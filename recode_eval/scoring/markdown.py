"""Fenced code blocks of a Markdown text, by CommonMark's line rules, in linear time.

The rules that matter for code: a fence is at least three backticks or tildes alone on a line; it is
closed by the same character, at least as many, with nothing behind and indented at most three
columns more than the opening, so backticks inside a longer fence, inside a line or inside an
indented docstring stay part of the code. Three liberties: an opening may be indented by any amount
and no other block structure is looked at, since models nest fences in lists and tags; and special
tokens that a tokenizer left behind a closing fence do not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE_LINE = re.compile(r"^([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+([^\n]*+)", re.MULTILINE)
_LANGUAGE = re.compile(r"\{?\.?([A-Za-z0-9_+#-]*)")
SPECIAL_TOKENS = re.compile(
    r"(?:<\|[^|<>\n]{1,40}\|>|<\uff5c[^\uff5c\n]{1,40}\uff5c>"
    r"|</s>|<eos>|<end_of_turn>|\[/INST\])++"
)
"""Ends of a turn that a tokenizer left in the text, one behind the other."""
_NO_LANGUAGE = frozenset(
    {"text", "txt", "plaintext", "plain", "raw", "none", "code", "solution", "answer", "main"}
)
"""Tags that name no language; a block that has one is taken only if it must be right."""
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

    def is_foreign(self, tags: frozenset[str]) -> bool:
        """Whether the block names another language than the one that the tags stand for."""
        return is_foreign(self.language, tags)


def is_foreign(language: str, tags: frozenset[str]) -> bool:
    """Whether a block's tag names another language than the one that `tags` stand for."""
    return bool(language) and language not in tags and language not in _NO_LANGUAGE


class Marker(NamedTuple):
    """A line that can open or close a fence; `start` and `end` are its offsets."""

    width: int
    character: str
    length: int
    info: str
    start: int
    end: int

    @property
    def opens(self) -> bool:
        """Whether the line can open a block."""
        # "```x = 1```" on one line is inline code, not a fence.
        return self.character == "~" or "`" not in self.info

    @property
    def language(self) -> str:
        """The first word behind the fence, in lower case; may be empty."""
        found = _LANGUAGE.match(self.info)
        return found[1].lower() if found else ""

    def closes(self, opening: Marker) -> bool:
        """Whether the line closes the block that `opening` opened."""
        return (
            self.character == opening.character
            and self.length >= opening.length
            and not SPECIAL_TOKENS.sub("", self.info).strip()
            and self.width <= opening.width + _MAX_CLOSING_INDENT
        )


def fences(text: str) -> list[Fence]:
    """Return the fenced blocks of `text` in order; only the last one can be unclosed.

    Lines end with a line feed; other separators of `str.splitlines` are part of the code.
    """
    found: list[Fence] = []
    opening: Marker | None = None
    for marker in markers(text):
        if opening is None:
            opening = marker if marker.opens else None
        elif marker.closes(opening):
            found.append(fence_between(text, opening, (marker.start, marker.end)))
            opening = None
    if opening is not None:
        found.append(fence_between(text, opening, None))
    return found


def markers(text: str) -> Iterator[Marker]:
    """Yield the lines of `text` that begin with a fence."""
    for line in _FENCE_LINE.finditer(text):
        yield Marker(_width(line[1]), line[2][0], len(line[2]), line[3], *line.span())


def fence_between(text: str, opening: Marker, closing: tuple[int, int] | None) -> Fence:
    """Return the block from an opening to a closing, given as its offsets; None: the text's end."""
    start, end = closing or (len(text), len(text))
    content = text[opening.end + 1 : start].removesuffix("\n")
    return Fence(
        language=opening.language,
        code=_unindented(content, opening.width) if opening.width else content,
        start=opening.start,
        end=end,
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
