"""Fenced blocks that break the rules of `markdown`: for texts in which those find no program.

Models glue a closing fence to the last line of code, write fences into docstrings and strings, put
a block into an outer one of Markdown, or open a fence behind words. Each of these readings is a
guess, so a block counts only if its content is a program. A block of another language is passed
over as a whole. What is tried is bounded: a hostile text costs no more than a long one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from recode_eval.scoring.markdown import (
    SPECIAL_TOKENS,
    Fence,
    fence_between,
    is_foreign,
    markers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.scoring.markdown import Marker

MARKDOWN_TAGS = frozenset({"markdown", "md", "mdx", "gfm", "commonmark"})
_CLOSERS = 24
"""Closing fences that are tried for one opening."""
_LOOKED_AT = 64
_MAX_TRIED_CHARS = 400_000
_PER_TRY = 500
"""Characters that a try costs besides its own."""
_LINE_END = re.compile(
    rf"(`{{3,}}+|~{{3,}}+)[ \t]*+(?:{SPECIAL_TOKENS.pattern}[ \t]*+)*+$", re.MULTILINE
)
_RUN = re.compile(r"(`{3,}+|~{3,}+)(\{?\.?[A-Za-z0-9_+#-]*+)")


class _Tries:
    """Asks whether a text is a program, until too much was asked."""

    def __init__(self, parses: Callable[[str], bool], defines: Callable[[str], bool]) -> None:
        self._parses, self._defines = parses, defines
        self._left = _MAX_TRIED_CHARS

    def pays(self, size: int) -> bool:
        """Whether a text of this size may still be tried; what it costs is taken off."""
        self._left -= size + _PER_TRY
        return self._left >= 0

    def good(self, code: str, *, regular: bool) -> bool:
        """Whether the content of a block is a program, which must define something if loose."""
        return bool(code.strip()) and (self._parses(code) if regular else self._defines(code))


def mended_fences(
    text: str,
    tags: frozenset[str],
    parses: Callable[[str], bool],
    defines: Callable[[str], bool],
) -> list[Fence]:
    """Return the blocks of programs in `text`, whose closing fence is the first that makes one.

    Closing fences may stand at the end of a line of code; those in a string are passed over because
    what they end is no program. A block that is none with any closing fence, or is Markdown, is
    opened: the blocks in it are looked at. `tags` are the language's, `parses` says whether a text
    is a program, `defines` whether it also defines something.
    """
    tries = _Tries(parses, defines)
    ends = _ends(text)
    found: list[Fence] = []
    position = 0
    lines = list(markers(text))
    for index, opening in enumerate(lines):
        if opening.start < position or not opening.opens:
            continue
        if opening.language in MARKDOWN_TAGS:
            continue
        if is_foreign(opening.language, tags):
            later = (line for line in lines[index + 1 : index + _LOOKED_AT] if line.closes(opening))
            position = next(later, opening).end
            continue
        block = _first_program(text, opening, ends[opening.character], tries)
        if block is not None:
            found.append(block)
            position = block.end
    return found


def _ends(text: str) -> dict[str, list[tuple[int, int, int]]]:
    """Return start, end and length of what may close a fence, by its character."""
    ends: dict[str, list[tuple[int, int, int]]] = {"`": [], "~": []}
    for match in _LINE_END.finditer(text):
        ends[match[1][0]].append((*match.span(), len(match[1])))
    return ends


def _first_program(
    text: str, opening: Marker, ends: list[tuple[int, int, int]], tries: _Tries
) -> Fence | None:
    first = bisect_left(ends, (opening.end + 1,))
    left, regular = _CLOSERS, True
    for start, end, length in ends[first : first + _LOOKED_AT]:
        if length < opening.length:
            continue
        if left == 0 or not tries.pays(start - opening.end):
            return None
        left -= 1
        alone = not text[text.rfind("\n", 0, start) + 1 : start].strip()
        block = fence_between(text, opening, (start, end))
        if tries.good(block.code, regular=regular and alone):
            return block
        regular = regular and not alone
    return None


def fences_in_lines(
    text: str,
    tags: frozenset[str],
    parses: Callable[[str], bool],
    defines: Callable[[str], bool],
) -> list[Fence]:
    """Return the blocks of programs whose fences stand anywhere in a line; arguments as above."""
    tries = _Tries(parses, defines)
    found: list[Fence] = []
    position = 0
    runs = list(_RUN.finditer(text))
    for index, run in enumerate(runs):
        if run.start() < position:
            continue
        tag = run[2].lstrip("{.").lower()
        closers = [
            later
            for later in runs[index + 1 : index + 1 + _CLOSERS]
            if later[1][0] == run[1][0] and len(later[1]) >= len(run[1])
        ]
        if is_foreign(tag, tags) and tag not in MARKDOWN_TAGS:
            position = closers[0].end() if closers else position
            continue
        begin = run.end()
        if tag in MARKDOWN_TAGS or not text[begin : begin + 1].isspace():
            continue
        for closer in closers:
            if not tries.pays(closer.start() - begin):
                return found
            code = text[begin : closer.start()]
            if tries.good(code, regular=False):
                end = closer.start() + len(closer[1])
                found.append(Fence(tag, code, run.start(), end, closed=True))
                position = end
                break
    return found
