"""Whether a completion keeps to the think/answer form that the prompt asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.languages import PYTHON, get_language
from recode_eval.scoring.extraction import ANSWER, END_ANSWER, END_THINK, THINK
from recode_eval.scoring.markdown import fences

if TYPE_CHECKING:
    from recode_eval.languages.base import Language


def is_well_formed(completion: str, prefill: str = "", language: str = PYTHON) -> bool:
    """Return whether the turn is one think block, one answer block with one block of code, no more.

    The turn starts at the `<think>` that `prefill` opens, else with the completion. White space is
    allowed before, between and behind the blocks and around the code's fence, which must be closed
    and tagged as being in the language. Neither the thoughts nor the code may be blank.
    """
    start = prefill.find(THINK)
    turn = ((prefill[start:] if start >= 0 else "") + completion).replace("\r\n", "\n").strip()
    if any(turn.count(tag) != 1 for tag in (THINK, END_THINK, ANSWER, END_ANSWER)):
        return False
    if not (turn.startswith(THINK) and turn.endswith(END_ANSWER)):
        return False
    thoughts, _, rest = turn.removeprefix(THINK).partition(END_THINK)
    between, _, answer = rest.removesuffix(END_ANSWER).partition(ANSWER)
    return (
        bool(thoughts.strip())
        and not between.strip()
        and _is_one_block(answer, get_language(language))
    )


def _is_one_block(answer: str, language: Language) -> bool:
    blocks = fences(answer)
    if len(blocks) != 1:
        return False
    (block,) = blocks
    around = answer[: block.start] + answer[block.end :]
    return (
        block.closed
        and block.is_tagged(language.fence_tags)
        and bool(block.code.strip())
        and not around.strip()
    )
