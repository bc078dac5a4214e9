"""Cutting documents into passages that a search can rank: at headings, then at blank lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.documentation.tokens import count_tokens
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recode_eval.documentation.folders import Document

PASSAGE_TOKENS: Final = 300
"""A passage ends before the paragraph that would make it longer (`tokens.count_tokens`)."""
_LONGEST_LINE: Final = 1500
"""Characters of a line, of which each may be a token; a longer line is cut."""
_HEADING = re.compile(r"(?P<level>#{1,6})[ \t]+(?P<title>.*\S)")
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+])\1{2,}[ \t]*")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document."""

    path: str
    heading: str
    """The heading that it stands under; empty before the first."""
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.path}: {self.heading}" if self.heading else self.path


def cut(document: Document) -> list[Passage]:
    r"""Return the passages of a document, in its order; all its lines that are not blank.

    A block between fences stays together unless it is longer than a passage.

    >>> from recode_eval.documentation.folders import Document
    >>> [p.heading for p in cut(Document("a.md", "Before.\n\n# One\nText.\n\nTwo\n===\nMore."))]
    ['', 'One', 'Two']
    """
    passages: list[Passage] = []
    for heading, lines in _sections(document.text.splitlines()):
        title = one_line(heading, 120)
        for paragraphs in _grouped(_paragraphs(lines)):
            passages.append(Passage(document.path, title, "\n\n".join(paragraphs)))
    return passages


def _sections(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each heading with its lines, the heading's own among them."""
    heading, section, fence = "", list[str](), ""
    for number, line in enumerate(lines):
        if match := _FENCE.match(line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence):
                fence = ""
        title = "" if fence else _title(lines, number)
        if title:
            if section:
                yield heading, section
            heading, section = title, []
        section.append(line)
    if section:
        yield heading, section


def _title(lines: list[str], number: int) -> str:
    """Return the heading that begins in a line, in Markdown's or reStructuredText's form."""
    line = lines[number]
    if match := _HEADING.fullmatch(line):
        return match["title"].rstrip("# ") or match["title"]
    below = lines[number + 1] if number + 1 < len(lines) else ""
    indented = line[:1].isspace()
    if line.strip() and not indented and _UNDERLINE.fullmatch(below) and len(line) <= 120:
        return "" if _UNDERLINE.fullmatch(line) else line.strip()
    return ""


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Yield what blank lines part; a block between fences is one, and none is too long."""
    paragraph: list[str] = []
    fence = ""
    for line in lines:
        if match := _FENCE.match(line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence):
                fence = ""
        if line.strip() or (fence and paragraph):
            paragraph.append(line)
        elif paragraph:
            yield from _short(paragraph)
            paragraph = []
    if any(line.strip() for line in paragraph):
        yield from _short(paragraph)


def _short(paragraph: list[str]) -> Iterator[str]:
    """Yield a paragraph, in parts if it is longer than a passage."""
    part: list[str] = []
    size = 0
    for line in paragraph:
        for start in range(0, max(1, len(line)), _LONGEST_LINE):
            piece = line[start : start + _LONGEST_LINE]
            tokens = count_tokens(piece)
            if part and size + tokens > PASSAGE_TOKENS:
                yield "\n".join(part)
                part, size = [], 0
            part.append(piece)
            size += tokens
    if any(piece.strip() for piece in part):
        yield "\n".join(part)


def _grouped(paragraphs: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for paragraph in paragraphs:
        tokens = count_tokens(paragraph)
        if group and size + tokens > PASSAGE_TOKENS:
            yield group
            group, size = [], 0
        group.append(paragraph)
        size += tokens
    if group:
        yield group
