"""A run that says little about its model names the likely reason and what to change."""

from __future__ import annotations

from typing import Any

import pytest

from recode_eval.run.advice import no_code_advice, solution_advice
from recode_eval.run.records import CompletionRecord

VARIANTS = ("plain", "recode")


def results(no_code: int, *, prompt: str = "recode", **counts: int) -> dict[str, Any]:
    return {
        "task": {"name": "arena"},
        "model": {"name": "m", "backend": "transformers"},
        "prompt": {"name": prompt},
        "sampling": {"max_tokens": 300},
        "counts": {
            "samples": 100, "unscored": 10, "no_code": no_code, "cut_off": 0, "prompt_too_long": 0,
            **counts,
        },
    }  # fmt: skip


@pytest.mark.parametrize("no_code", [0, 30])
def test_up_to_a_third_of_the_graded_samples_is_not_worth_a_word(no_code: int) -> None:
    assert no_code_advice(results(no_code), VARIANTS) is None


def test_a_run_without_a_graded_sample_has_no_advice() -> None:
    assert no_code_advice(results(0, unscored=100), VARIANTS) is None


@pytest.mark.parametrize(
    ("found", "prompts", "parts"),
    [
        (results(31), VARIANTS, ["31 of 90 samples (34 %) held no code", "--prompt plain"]),
        (results(90, cut_off=80), VARIANTS, ["--max-tokens (now 300)", "--prompt plain"]),
        (results(90, cut_off=80, prompt="plain"), VARIANTS, ["raise --max-tokens (now 300)."]),
        (results(90, prompt_too_long=60, cut_off=90), VARIANTS, ["--max-context"]),
        (results(90, prompt="plain"), VARIANTS, ["chat template", "completions.jsonl"]),
        (results(90, prompt="mine.jinja2"), ("recode",), ["chat template"]),
    ],
)
def test_the_likely_reason_and_the_option(
    found: dict[str, Any], prompts: tuple[str, ...], parts: list[str]
) -> None:
    advice = no_code_advice(found, prompts)
    assert advice is not None
    for part in parts:
        assert part in advice


@pytest.mark.parametrize("backend", ["baseline", "replay"])
def test_who_only_repeats_answers_needs_no_advice(backend: str) -> None:
    found = results(90)
    found["model"]["backend"] = backend
    assert no_code_advice(found, VARIANTS) is None


def saved(text: str, *, is_code: bool = True) -> CompletionRecord:
    return CompletionRecord("p", 0, 0, "h", text, "stop", is_code=is_code)


def test_chat_answers_saved_as_solutions_are_noticed() -> None:
    """All of 288 replayed answers were syntax errors, and pass@1 was 0 without a hint."""
    chat = saved("Sure:\n```python\ndef f():\n    return 1\n```\nDone.")
    code = saved("def f():\n    return 1")
    advice = solution_advice("arena", "python", [chat, chat, code])
    assert advice is not None
    assert "2 of 3 saved solutions" in advice
    assert "name the key `completion`" in advice


def test_bare_code_and_completions_need_no_advice_on_their_key() -> None:
    chat = "```python\ndef f():\n    return 1\n```"
    broken = saved("def f(:\n    return 1")
    documented = saved(f'"""Use:\n\n{chat}\n"""\ndef f():\n    return 1')
    for records in (
        [], [saved(chat, is_code=False)], [broken] * 3, [documented] * 3,
        [saved(chat), *[saved("def f(): 1")] * 2],
    ):  # fmt: skip
        assert solution_advice("arena", "python", records) is None
