"""From a completion to the code that answers: one documented order of rules, and which one applied.

The rules, first match wins (`ExtractionMethod` names them):

1. The whole text is a Python program that defines something: a model without chat habits.
2. A `<think>` that is never closed: no answer, whatever the thoughts hold. Otherwise only what
   follows the last `</think>` counts.
3. The last complete `<answer>` block: its last Python block, or the block itself if it is Python.
   An answer without code is no code; nothing outside it is looked at.
4. The first complete `[PYTHON]` block: one-shot prompted models go on and invent more questions.
5. Fenced blocks: the last that defines the entry point, else the last Python one that parses.
6. A block that the end of the text cuts off, if it parses.

The prefill (the opened assistant's turn) is part of the text, so that a `<think>`, a `[PYTHON]` or
a fence that it opens is closed by the completion. Everything runs in linear time.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from recode_eval.languages import PYTHON as PYTHON_LANGUAGE
from recode_eval.languages import get_language
from recode_eval.languages.base import MAX_CODE_CHARS
from recode_eval.scoring.markdown import fences

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.languages.base import Language
    from recode_eval.scoring.markdown import Fence

THINK, END_THINK = "<think>", "</think>"
ANSWER, END_ANSWER = "<answer>", "</answer>"

_LEADING_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*+\n)++")


class ExtractionMethod(StrEnum):
    """Which rule found the code, or why none did."""

    ANSWER = "answer"
    PYTHON_TAGS = "python_tags"
    FENCE = "fence"
    RAW = "raw"
    """The whole text is a program."""
    UNCLOSED_FENCE = "unclosed_fence"
    UNCLOSED_PYTHON_TAGS = "unclosed_python_tags"
    UNCLOSED_ANSWER = "unclosed_answer"
    CONTINUATION = "continuation"
    """No code by itself: a text that goes on where the prompt ends (`tasks.base.Continuing`)."""
    GIVEN = "given"
    """A replayed solution: bare code, nothing to extract."""
    UNCLOSED_THINK = "unclosed_think"
    """No code: the model was still thinking when it stopped."""
    NONE = "none"
    """No code."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The code of a completion (None if it has none), how it was found, and a remark for people."""

    code: str | None
    method: ExtractionMethod
    detail: str = ""


def extract(
    text: str,
    *,
    prefill: str = "",
    entry_point: str | None = None,
    language: str = PYTHON_LANGUAGE,
) -> Extraction:
    """Return the code that `text` gives as its answer. Never raises.

    `prefill` is what opened the assistant's turn; `entry_point` is the name the code has to define
    and decides between several fenced blocks only; `language` is that of the code. Line ends
    become line feeds; NUL bytes and lone surrogates stay in the code (it fails when it is run). The
    code has no blank lines around it.
    """
    text, prefill = _line_feeds(text), _line_feeds(prefill)
    return _extract(get_language(language), text, prefill, entry_point)


def _extract(language: Language, text: str, prefill: str, entry_point: str | None) -> Extraction:
    whole = prefill + text
    if program := _program(language, whole):
        return Extraction(program, ExtractionMethod.RAW)
    body = _after_thinking(whole)
    if body is None:
        return Extraction(None, ExtractionMethod.UNCLOSED_THINK, "the think block never ends")
    opened = prefill.rpartition(END_THINK)[2] if END_THINK not in text else ""
    if found := _from_opened_fence(language, body, opened):
        return found
    if program := _program(language, body):
        return Extraction(program, ExtractionMethod.RAW)
    found = (
        _from_answer(language, body)
        or _from_tags(language, body)
        or _from_fences(language, body, entry_point)
        or _from_cut_off_block(language, body)
    )
    if found:
        return found
    if opened and (program := _program(language, text)):
        return Extraction(program, ExtractionMethod.RAW, "the text without the prefill")
    return Extraction(None, ExtractionMethod.NONE, "no code block and not a program")


def given(code: str) -> Extraction:
    """Return the extraction of bare code, as it is (None if it is blank)."""
    if not code.strip():
        return Extraction(None, ExtractionMethod.NONE, "the solution is empty")
    return Extraction(code, ExtractionMethod.GIVEN)


def _line_feeds(text: str) -> str:
    # Python reads all three line ends alike, also inside of string literals.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _trimmed(code: str) -> str:
    return _LEADING_BLANK_LINES.sub("", code).rstrip()


def _parsing(language: Language, text: str) -> str | None:
    """Return `text` trimmed if it is Python and not blank; an indent of the whole is removed."""
    code = _trimmed(text)
    if not code or len(code) > MAX_CODE_CHARS:
        return None
    if language.parses(code):
        return code
    if code[0] in " \t":
        # Everything is indented; or only the first line is, by a tokeniser's leading space.
        variants = [textwrap.dedent(code), code.lstrip(" \t")]
        variants = variants if code[:2].isspace() else variants[::-1]
        return next(filter(language.parses, variants), None)
    return None


def _program(language: Language, text: str) -> str | None:
    """Return `text` like `_parsing`, but only if it also defines something (prose can parse)."""
    # An opening tag before code parses as well: as a list of one name.
    code = _parsing(language, text) if f"[{language.answer_tag}]" not in text else None
    return code if code and language.defined_names(code) else None


def _code_of(language: Language, block: Fence) -> str:
    return _parsing(language, block.code) or _trimmed(block.code)


def _after_thinking(text: str) -> str | None:
    """Return the part of `text` that counts, or None if a think block is open at its end."""
    _, _, body = text.rpartition(END_THINK)
    if THINK in body:
        # The tag may be a literal of the program: then it is inside of a complete code block.
        outside, position = [], 0
        for fence in fences(body):
            if fence.closed:
                outside.append(body[position : fence.start])
                position = fence.end
        outside.append(body[position:])
        if any(THINK in part for part in outside):
            return None
    return body


def _last_complete(text: str, opening: str, closing: str) -> str | None:
    """Return the content of the last block that is opened and closed."""
    last_closing = text.rfind(closing)
    start = text.rfind(opening, 0, last_closing) if last_closing >= 0 else -1
    if start < 0:
        return None
    start += len(opening)
    return text[start : text.index(closing, start)]


def _fenced(language: Language, block: str) -> str | None:
    """Return the last fenced Python of a tagged block, whose end also ends a fence left open."""
    tags = language.fence_tags
    blocks = [f for f in fences(block) if f.may_be(tags) and f.code.strip()]
    if closed := [f for f in blocks if f.closed]:
        return _code_of(language, closed[-1])
    return _parsing(language, blocks[-1].code) if blocks else None


def _from_answer(language: Language, text: str) -> Extraction | None:
    answer = _last_complete(text, ANSWER, END_ANSWER)
    if answer is None:
        return None
    if code := _parsing(language, answer):
        return Extraction(code, ExtractionMethod.ANSWER, "no fence")
    if code := _fenced(language, answer):
        return Extraction(code, ExtractionMethod.ANSWER)
    if tagged := _from_tags(language, answer):
        return Extraction(
            tagged.code, ExtractionMethod.ANSWER, f"[{language.answer_tag}] tags in the answer"
        )
    return Extraction(
        None, ExtractionMethod.NONE, f"the answer block holds no {language.name.capitalize()} code"
    )


def _from_tags(language: Language, text: str) -> Extraction | None:
    opening, closing = f"[{language.answer_tag}]", f"[/{language.answer_tag}]"
    position = 0
    while (end := text.find(closing, position)) >= 0:
        start = text.rfind(opening, position, end)
        if start >= 0 and (code := _tagged_code(language, text[start + len(opening) : end])):
            return Extraction(code, ExtractionMethod.PYTHON_TAGS)
        position = end + len(closing)
    return None


def _tagged_code(language: Language, block: str) -> str | None:
    """Return the code between `[PYTHON]` tags, or None where prose only mentions the tags."""
    if code := _parsing(language, block) or _fenced(language, block):
        return code
    return _trimmed(block) if "\n" in block.strip() else None


def _from_opened_fence(language: Language, body: str, opened: str) -> Extraction | None:
    """Return the block that the prefill opened; the first end marker closes it."""
    start = next((f.start for f in fences(opened) if not f.closed), None)
    block = next((f for f in fences(body) if f.start == start), None)
    if block is None:
        return None
    if block.closed and block.code.strip():
        return Extraction(
            _code_of(language, block), ExtractionMethod.FENCE, "opened by the prefill"
        )
    if code := _parsing(language, block.code):
        return Extraction(code, ExtractionMethod.UNCLOSED_FENCE, "opened by the prefill")
    return None


def _from_fences(language: Language, text: str, entry_point: str | None) -> Extraction | None:
    # If an answer is cut off after its code, that code takes precedence over earlier drafts.
    _, tag, tail = text.rpartition(ANSWER)
    for part in (tail, text) if tag else (text,):
        if blocks := [f for f in fences(part) if f.closed and f.code.strip()]:
            block, detail = _best(language, blocks, entry_point)
            return Extraction(_code_of(language, block), ExtractionMethod.FENCE, detail)
    return None


def _best(language: Language, blocks: list[Fence], entry_point: str | None) -> tuple[Fence, str]:
    """Return the block that answers, and why it was taken."""
    tags, title = language.fence_tags, language.name.capitalize()

    def last(condition: Callable[[Fence], object]) -> Fence | None:
        return next((f for f in reversed(blocks) if condition(f)), None)

    def names(block: Fence) -> frozenset[str]:
        return language.defined_names(_code_of(language, block))

    if entry_point:
        name = entry_point
        # Looking for the text first spares parsing what cannot define it.
        if found := last(lambda f: name in f.code and name in names(f)):
            return found, "defines the entry point"
    if found := last(lambda f: f.is_tagged(tags) and _parsing(language, f.code)):
        return found, f"last {title} block that parses"
    if found := last(lambda f: f.is_tagged(tags)):
        return found, f"last {title} block"
    if found := last(lambda f: f.may_be(tags) and names(f)):
        return found, "last untagged block that defines something"
    return last(lambda f: f.may_be(tags)) or blocks[-1], "last block"


def _from_cut_off_block(language: Language, text: str) -> Extraction | None:
    """Return the block that the end of the text leaves open, if it is Python."""
    blocks = fences(text)
    if blocks and not blocks[-1].closed and blocks[-1].may_be(language.fence_tags):
        if code := _parsing(language, blocks[-1].code):
            return Extraction(code, ExtractionMethod.UNCLOSED_FENCE, "cut off")
        return None
    for tag, method in (
        (f"[{language.answer_tag}]", ExtractionMethod.UNCLOSED_PYTHON_TAGS),
        (ANSWER, ExtractionMethod.UNCLOSED_ANSWER),
    ):
        _, opening, tail = text.rpartition(tag)
        if opening and (code := _parsing(language, tail)):
            return Extraction(code, method, "cut off")
    return None
