"""From a completion to the code that answers: one documented order of rules, and which one applied.

The rules, first match wins (`ExtractionMethod` names them); "code" is code in the task's language:

1. The whole text is a program that defines something: a model without chat habits.
2. A think block that is never closed: no answer, whatever the thoughts hold. Otherwise only what
   follows the last one counts. `thinking.FAMILIES` has the markers.
3. The last complete `<answer>` block: its last block of code, or the block itself if it is code.
   An answer without code is no code; nothing outside it is looked at.
4. The first complete `[PYTHON]` block, or with the language's own tag: one-shot prompted models go
   on and invent more questions.
5. Fenced blocks: the last that defines the entry point, else the last one that parses. Where
   there is none, fences that break Markdown's rules, if they hold a program (`loose_fences`). Never
   a block of another language.
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
from recode_eval.scoring.loose_fences import fences_in_lines, mended_fences
from recode_eval.scoring.markdown import SPECIAL_TOKENS, fences
from recode_eval.scoring.thinking import BRACKETS, answer_start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.languages.base import Language
    from recode_eval.scoring.markdown import Fence

THINK, END_THINK = "<think>", "</think>"
ANSWER, END_ANSWER = "<answer>", "</answer>"

_LEADING_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*+\n)++")
_LEADING_TOKENS = re.compile(rf"\A\s*+{SPECIAL_TOKENS.pattern}")
_LAST_TOKEN = re.compile(rf"{SPECIAL_TOKENS.pattern}\s*\Z")
_TOKENS_SEEN = 200
"""Characters at the end of a text in which special tokens are looked for at a time."""


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
    start = answer_start(whole, len(prefill), language.parses)
    if start is None:
        return Extraction(None, ExtractionMethod.UNCLOSED_THINK, "the think block never ends")
    opened = prefill[start:]
    body = _without_end_tokens(whole[start:])
    if not opened:
        body = _LEADING_TOKENS.sub("", body)
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
    if opened and (program := _program(language, _without_end_tokens(text))):
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


def _without_end_tokens(text: str) -> str:
    """Remove special tokens that a tokenizer left at the end of the turn."""
    end = len(text)
    while found := _LAST_TOKEN.search(text, max(0, end - _TOKENS_SEEN), end):
        end = found.start()
    return text[:end]


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
    if code and BRACKETS.search(code) and not language.parses(BRACKETS.sub("[", code)):
        return None  # so does that of a think block; within a string, half of one would do no harm
    return code if code and language.defined_names(code) else None


def _code_of(language: Language, block: Fence) -> str:
    return _parsing(language, block.code) or _trimmed(block.code)


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
    closed = [f for f in blocks if f.closed]
    if closed and (code := _parsing(language, closed[-1].code)):
        return code
    if not closed and blocks and (code := _parsing(language, blocks[-1].code)):
        return code
    if loose := _loose(language, block):
        return _code_of(language, loose[-1])
    return _trimmed(closed[-1].code) if closed else None


def _loose(language: Language, text: str, entry_point: str | None = None) -> list[Fence]:
    """Return the programs in fences that break Markdown's rules.

    The reading closest to the rules counts, if one of its programs defines the entry point.
    """
    if "```" not in text and "~~~" not in text:
        return []

    def parses(code: str) -> bool:
        return _parsing(language, code) is not None

    def defines(code: str) -> bool:
        return _program(language, code) is not None

    closest: list[Fence] = []
    for find in (mended_fences, fences_in_lines):
        found = find(text, language.fence_tags, parses, defines)
        if any(_answers(language, block, entry_point) for block in found):
            return found
        closest = closest or found
    return closest


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
        None, ExtractionMethod.NONE, f"the answer block holds no {language.title} code"
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
    detail = "opened by the prefill"
    complete = block.closed and block.code.strip()
    method = ExtractionMethod.FENCE if complete else ExtractionMethod.UNCLOSED_FENCE
    if code := _parsing(language, block.code):
        return Extraction(code, method, detail)
    if not block.is_foreign(language.fence_tags):
        loose = next((f for f in _loose(language, body) if f.start == start), None)
        if loose:
            return Extraction(_code_of(language, loose), ExtractionMethod.FENCE, detail)
    return Extraction(_trimmed(block.code), method, detail) if complete else None


def _from_fences(language: Language, text: str, entry_point: str | None) -> Extraction | None:
    # If an answer is cut off after its code, that code takes precedence over earlier drafts.
    _, tag, tail = text.rpartition(ANSWER)
    for part in (tail, text) if tag else (text,):
        if found := _from_blocks(language, part, entry_point):
            return found
    return None


def _from_blocks(language: Language, text: str, entry_point: str | None) -> Extraction | None:
    """Return the regular block that answers, else a loose one, else a regular one as it is."""
    blocks = fences(text)
    regular = _best(language, blocks, entry_point)
    if regular and _answers(language, regular[0], entry_point):
        return _fence_extraction(language, *regular)
    if blocks and not blocks[-1].closed and _parsing(language, blocks[-1].code) and not regular:
        return None  # it is cut off, and regular otherwise
    loose = _best(language, _loose(language, text, entry_point), entry_point)
    if loose and (
        _answers(language, loose[0], entry_point)
        or not (regular and _parsing(language, regular[0].code))
    ):
        return _fence_extraction(language, loose[0], f"{loose[1]}, with irregular fences")
    return _fence_extraction(language, *regular) if regular else None


def _fence_extraction(language: Language, block: Fence, detail: str) -> Extraction:
    return Extraction(_code_of(language, block), ExtractionMethod.FENCE, detail)


def _answers(language: Language, block: Fence, entry_point: str | None) -> bool:
    """Whether there is nothing better to look for than this block."""
    code = _parsing(language, block.code)
    if code is None:
        return False
    return entry_point is None or entry_point in language.defined_names(code)


def _best(
    language: Language, found: Sequence[Fence], entry_point: str | None
) -> tuple[Fence, str] | None:
    """Return the block that answers, and why it was taken; None where no block can."""
    tags, title = language.fence_tags, language.title
    blocks = [f for f in found if f.closed and f.code.strip() and not f.is_foreign(tags)]

    def last(condition: Callable[[Fence], object]) -> Fence | None:
        return next((f for f in reversed(blocks) if condition(f)), None)

    def names(block: Fence) -> frozenset[str]:
        return language.defined_names(_code_of(language, block))

    if entry_point:
        name = entry_point
        # Looking for the text first spares parsing what cannot define it.
        if block := last(lambda f: name in f.code and name in names(f)):
            return block, "defines the entry point"
    if block := last(lambda f: f.is_tagged(tags) and _parsing(language, f.code)):
        return block, f"last {title} block that parses"
    if block := last(lambda f: f.is_tagged(tags)):
        return block, f"last {title} block"
    if block := last(lambda f: f.may_be(tags) and names(f)):
        return block, "last untagged block that defines something"
    block = last(lambda f: f.may_be(tags)) or last(lambda _: True)
    return (block, "last block") if block else None


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
