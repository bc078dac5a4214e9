"""What a model's earlier answers are in the messages that follow: without its thoughts."""

from __future__ import annotations

from typing import Final

from recode_eval.languages import get_language
from recode_eval.models.base import FinishReason
from recode_eval.scoring.markdown import fences
from recode_eval.scoring.thinking import answer_start

NOTHING: Final = "(no answer)"
"""In the place of an empty answer, which many chat templates and servers refuse."""


def said(text: str, prefill: str, language: str, finish_reason: str) -> str:
    """Return an answer as the history has it: prefill and text, without thoughts.

    Reasoning models are trained on histories without the thoughts of earlier turns, and their
    templates drop them. A block that a stop string ended is closed. May be empty.

    >>> said("<think>Hm.</think>Yes.", "", "python", "stop")
    'Yes.'
    """
    whole = prefill + text
    start = answer_start(whole, len(prefill), get_language(language).parses)
    answer = "" if start is None else whole[start:].strip()
    if finish_reason == FinishReason.STOP and (blocks := fences(answer)) and not blocks[-1].closed:
        answer = f"{answer}\n```"
    return answer
