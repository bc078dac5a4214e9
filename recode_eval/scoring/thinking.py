"""Where the thoughts of a reasoning model end: one table of the markers of all families.

A draft inside of a think block is no answer, whichever family's markers the block has. A block
that is never closed leaves no answer at all. The scan is linear: one pass over the markers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from recode_eval.scoring.markdown import fences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.scoring.markdown import Fence


class Place(Enum):
    """Where an opening marker opens a block; elsewhere it is a mention."""

    ANYWHERE = "anywhere"
    LINE = "line"
    """At the start of a line, or after the end of a sentence or a tag."""
    START = "start"
    """At the start of the model's turn only. The closing marker counts after the opening only,
    because both are ordinary words."""


@dataclass(frozen=True, slots=True)
class Family:
    """The markers around the thoughts of some models, as regular expressions."""

    models: str
    hint: str
    """A part of the opening and, except at `Place.START`, of the closing marker: without it in a
    text there is nothing to look for."""
    opening: str
    closing: str
    place: Place = Place.ANYWHERE


def _tags(models: str, name: str, place: Place = Place.LINE) -> Family:
    return Family(models, f"{name}>", f"<{name}>", f"</{name}>", place)


FAMILIES = (
    _tags("DeepSeek, Qwen, GLM, MiniMax, Hunyuan, Phi, Nemotron, OLMo", "think", Place.ANYWHERE),
    _tags("prompted models", "thinking"),
    _tags("EXAONE", "thought"),
    _tags("prompted models", "thoughts"),
    _tags("models trained with GRPO recipes", "reasoning"),
    _tags("Seed", "seed:think", Place.ANYWHERE),
    Family("Magistral", "THINK]", r"\[THINK\]", r"\[/THINK\]", Place.LINE),
    Family("Kimi", "think▷", "◁think▷", "◁/think▷"),
    Family("Command A Reasoning", "_THINKING|>", r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    Family(
        "OpenThinker, Sky-T1", "_of_thought|>", r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"
    ),
    Family("Apertus", "<|inner_", r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    Family("Gemma", "channel", r"<\|channel>thought", r"<channel\|>"),
    Family(
        "gpt-oss",
        "<|channel|>",
        r"<\|channel\|>(?:analysis|commentary)",
        r"<\|channel\|>final[^\n]{0,80}?<\|message\|>",
    ),
    Family(
        "gpt-oss without its special tokens",
        "analysis",
        r"analysis(?=[A-Z\"'`(\[*])",
        "assistantfinal",
        Place.START,
    ),
    Family(
        "Granite",
        "my thought process:",
        r"Here(?:'s| is) my thought process:",
        r"Here(?:'s| is) my response:",
        Place.START,
    ),
)

# One pattern with all families takes fifty times as long: this one begins with a literal.
_EITHER = [re.compile(f"{family.opening}|{family.closing}") for family in FAMILIES]
_OPENING = [re.compile(family.opening) for family in FAMILIES]
_SENTENCE_ENDS = frozenset(".!?:>]")
BRACKETS = re.compile(r"^[ \t]*+\[THINK\]", re.MULTILINE)
"""The only opening that can be a part of a program: a list of one name."""


@dataclass(frozen=True, slots=True)
class _Mark:
    family: int
    opens: bool
    start: int
    end: int


def answer_start(text: str, turn: int, parses: Callable[[str], bool]) -> int | None:
    """Return where the answer in `text` begins; None if a think block is open at its end.

    `turn` is where the model's own text begins, after the prefill. `parses` says whether a block of
    code is a program: a marker in such a block is a literal.
    """
    marks = _marks(text, turn)
    if not marks:
        return 0
    marks = _without_literals(marks, fences(text), lambda f: parses(f.code))
    start, state = 0, None
    for mark in marks:
        if state is None and mark.opens:
            state = mark.family
        elif not mark.opens and mark.family == state:
            start, state = mark.end, None
        elif not mark.opens and state is None and FAMILIES[mark.family].place is not Place.START:
            # The template opened the block in the prompt.
            start = mark.end
    if state is None:
        return start
    # A marker in any complete block of what would be the answer is a literal, too.
    rest = [mark for mark in marks if mark.opens and mark.start >= start]
    shifted = [_Mark(m.family, True, m.start - start, m.end - start) for m in rest]
    return None if _without_literals(shifted, fences(text[start:]), lambda _: True) else start


def _marks(text: str, turn: int) -> list[_Mark]:
    """Return the markers, without openings at a place where their family has none."""
    first = turn + len(text[turn:]) - len(text[turn:].lstrip())
    found = []
    for number, family in enumerate(FAMILIES):
        if family.hint not in text:
            continue
        for match in _EITHER[number].finditer(text):
            opens = _OPENING[number].match(text, match.start()) is not None
            if opens and (
                (family.place is Place.START and match.start() != first)
                or (family.place is Place.LINE and not _at_a_start(text, match.start()))
            ):
                continue
            found.append(_Mark(number, opens, *match.span()))
    return sorted(found, key=lambda mark: mark.start)


def _at_a_start(text: str, position: int) -> bool:
    while position and text[position - 1] in " \t":
        position -= 1
    return not position or text[position - 1] == "\n" or text[position - 1] in _SENTENCE_ENDS


def _without_literals(
    marks: Sequence[_Mark], blocks: Sequence[Fence], condition: Callable[[Fence], bool]
) -> list[_Mark]:
    """Return the marks that are not in a closed block for which the condition holds."""
    starts = [block.start for block in blocks]
    known: dict[int, bool] = {}
    kept = []
    for mark in marks:
        index = bisect_right(starts, mark.start) - 1
        if index >= 0 and mark.end <= blocks[index].end and blocks[index].closed:
            if index not in known:
                known[index] = condition(blocks[index])
            if known[index]:
                continue
        kept.append(mark)
    return kept
