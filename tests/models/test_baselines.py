"""The baselines answer in the format that extraction expects."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import UsageError
from recode_eval.models import Message, Model, Prompt, Request, SamplingParameters, create_model
from recode_eval.models.baselines import opens_think, wrap_answer
from recode_eval.scoring.extraction import extract

ANSWERS = {"p1": {"reference": "new()", "stale": "old()"}, "p2": {"reference": "a\n", "stale": "b"}}
PREFILL = "Let me solve this step by step.\n<think>"


def request(problem_id: str, samples: int = 2, prefill: str = PREFILL) -> Request:
    prompt = Prompt((Message("user", "?"),), prefill)
    return Request(problem_id, prompt, tuple(range(samples)), tuple(range(samples)))


@pytest.mark.parametrize(("kind", "code"), [("reference", "new()"), ("stale", "old()")])
def test_answer_closes_the_think_block_that_the_prefill_opened(kind: str, code: str) -> None:
    model = create_model(f"baseline:{kind}", answers=ANSWERS)
    assert isinstance(model, Model)
    first, second = model.generate([request("p1")], SamplingParameters())
    assert first.text == f"</think>\n<answer>\n```python\n{code}\n```\n</answer>"
    assert (first.sample, second.sample) == (0, 1)
    assert first.text == second.text


def test_without_a_think_block_there_is_nothing_to_close() -> None:
    model = create_model("baseline:reference", answers=ANSWERS)
    (only,) = model.generate([request("p2", 1, prefill="")], SamplingParameters())
    assert only.text == "<answer>\n```python\na\n```\n</answer>"


def test_empty_needs_no_answers() -> None:
    model = create_model("baseline:empty")
    assert [c.text for c in model.generate([request("any", 3)], SamplingParameters())] == [""] * 3


def test_code_with_backticks_cannot_close_its_own_fence() -> None:
    """A reference whose docstring shows a fenced block was cut off at that block."""
    text = wrap_answer('"""\n````\nx\n````\n"""')
    assert text.startswith("<answer>\n`````python\n")
    assert text.endswith("\n`````\n</answer>")


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "def f():\n    return 1"),
        ("javascript", "export const f = () => 1;"),
        ("typescript", "export const f = (): number => 1;"),
        ("rust", "fn f() -> i32 {\n    1\n}"),
    ],
)
def test_the_answer_is_found_in_every_language(language: str, code: str) -> None:
    """Every fence was tagged python: `baseline:reference` scored 0 on migration-js and rustevo."""
    model = create_model("baseline:reference", answers={"p": {"reference": code}})
    wanted = replace(request("p", 1), language=language)
    (only,) = model.generate([wanted], SamplingParameters())
    assert extract(only.text, prefill=PREFILL, language=language).code == code


@given(st.text(alphabet="`a\n", max_size=30))
def test_fence_is_longer_than_any_run_in_the_code(code: str) -> None:
    fence = wrap_answer(code).split("\n")[1].removesuffix("python")
    assert set(fence) == {"`"}
    assert fence not in code


@pytest.mark.parametrize(
    ("text", "is_open"),
    [("", False), ("<think>", True), ("<think></think>", False), ("</think><think>", True)],
)
def test_opens_think(text: str, is_open: bool) -> None:
    assert opens_think(text) is is_open


def test_unknown_kind_names_the_kinds() -> None:
    with pytest.raises(UsageError, match="baseline:reference, baseline:stale, baseline:empty"):
        create_model("baseline:gold", answers=ANSWERS)


def test_task_without_stale_solutions_is_refused_at_once() -> None:
    answers = {"p1": {"reference": "x"}, "p2": {"reference": "x", "stale": "y"}}
    with pytest.raises(UsageError, match=r"1 of 2 lack it, for instance p1"):
        create_model("baseline:stale", answers=answers)
