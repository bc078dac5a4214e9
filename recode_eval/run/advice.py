"""What to change when a run says little about the model: most of its samples held no code.

Or saved chat answers were replayed as if they were bare code.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from recode_eval.languages import get_language
from recode_eval.models.backends import backend_facts
from recode_eval.scoring.extraction import extract

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from recode_eval.run.records import CompletionRecord

TOO_MANY: Final = 1 / 3
"""Share of samples without code above which a run says so at its end."""
_MOSTLY: Final = 0.5
_PLAIN: Final = "plain"
_LOOKED_AT: Final = 500
"""Saved solutions that are looked at."""


def no_code_advice(results: Mapping[str, Any], prompts: Container[str]) -> str | None:
    """Return advice for a run in which too many samples held no code, else None.

    `results` is the content of results.json, `prompts` are the names of the task's variants. The
    likely reason is, in this order: prompts longer than the context, answers cut off at the token
    limit, a prompt that opens the model's turn or asks for a form it was not trained on, a model
    without a chat template.
    """
    counts = results["counts"]
    graded = counts["samples"] - counts["unscored"]
    empty = counts["no_code"]
    if not graded or empty / graded <= TOO_MANY:
        return None
    if not backend_facts(results["model"]["backend"]).generates:
        return None
    name = results["task"]["name"]
    said = f"{name}: {empty} of {graded} samples ({100 * empty / graded:.0f} %) held no code."
    return f"{said} {_reason(results, empty, prompts)}"


def _reason(results: Mapping[str, Any], empty: int, prompts: Container[str]) -> str:
    counts, prompt = results["counts"], results["prompt"]["name"]
    if counts["prompt_too_long"] >= _MOSTLY * empty:
        return (
            "Most of these prompts exceed the model's context: raise --max-context if the model "
            "supports it."
        )
    other_form = prompt != _PLAIN and _PLAIN in prompts
    if counts["cut_off"] >= _MOSTLY * empty:
        limit = results["sampling"]["max_tokens"]
        hint = f"Most were cut off at the token limit: raise --max-tokens (now {limit})"
        return hint + (", or try --prompt plain." if other_form else ".")
    if other_form:
        return (
            f"The likely reason is the answer form that the prompt {prompt} asks for: try --prompt "
            "plain (in a training --set prompt=plain), which any chat model can follow."
        )
    return (
        "The likely reason is that the model does not follow chat instructions, or was loaded "
        "without its chat template: read its answers in completions.jsonl, and give your own "
        "template with --prompt FILE.jinja2."
    )


def solution_advice(
    task: str, language: str, completions: Iterable[CompletionRecord]
) -> str | None:
    """Return advice where most saved solutions are chat answers that hold the code, else None.

    A solution is graded as it is: a fence or a sentence around it is a syntax error.
    """
    parses = get_language(language).parses
    found = list(islice((c.text for c in completions if c.is_code), _LOOKED_AT))
    chats = [
        text
        for text in found
        if not parses(text) and parses(extract(text, language=language).code or "(")
    ]
    if len(chats) <= TOO_MANY * len(found):
        return None
    return (
        f"{task}: {len(chats)} of {len(found)} saved solutions that were looked at are chat answers"
        " around the code. A `solution` is graded as it is, so they cannot pass: name the key"
        " `completion`, and the code is extracted."
    )
