"""Prompts as the trainer gets them, and the answers that SFT learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from migration_rows import write_pairs
from training_pairs import NEW, PREFILL, pair_set, training_row

from recode_eval.errors import DataError, UsageError
from recode_eval.models.base import Prompt
from recode_eval.run.prompts import PromptTemplate
from recode_eval.scoring import exact_match, is_well_formed
from recode_eval.scoring.extraction import extract
from recode_train.data import load_pairs
from recode_train.prompts import (
    THINK_ANSWER,
    evaluation_prompt,
    prompt_template,
    render,
    sft_completion,
    training_prompt,
)

MANY = 100_000
BOS_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}</s>"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)


def tokenizer(chat_template: str | None = BOS_TEMPLATE) -> Any:
    pytest.importorskip("transformers", reason="transformers is not installed")
    from models.tiny_model import build_tokenizer

    return build_tokenizer(chat_template)


@pytest.mark.slow
@pytest.mark.parametrize("chat_template", [BOS_TEMPLATE, None])
def test_the_prompt_is_the_evaluated_one_with_one_bos_and_an_open_end(
    tmp_path: Path, chat_template: str | None
) -> None:
    """TRL puts the tokenizer's BOS before every text, also where the chat template wrote one."""
    from recode_eval.models.chat import PromptEncoder

    tokens = tokenizer(chat_template)
    pairs = pair_set(tmp_path, training_row())
    (prompt,), overlong = render(pairs, tokens, max_tokens=MANY)
    assert overlong == []
    assert prompt.text.endswith(PREFILL)
    assert prompt.prefill == PREFILL
    as_trainer = tokens(prompt.text)["input_ids"]
    assert tuple(as_trainer) == prompt.token_ids
    assert as_trainer.count(tokens.bos_token_id) == 1
    assert as_trainer[0] == tokens.bos_token_id
    tail = tokens(PREFILL, add_special_tokens=False)["input_ids"][-3:]
    assert as_trainer[-3:] == tail  # the ids end in the open prefill: no end of turn behind it
    context = {**pairs.pairs[0].problem.context, "update_note": True}
    evaluated = PromptEncoder(tokens).encode(prompt_template(pairs).render(context))
    assert list(prompt.token_ids) == evaluated


@pytest.mark.slow
def test_overlong_prompts_are_counted(tmp_path: Path) -> None:
    rows = [training_row(), training_row(id="long", apis=["numpy.b"], update_info="word " * 500)]
    pairs = pair_set(tmp_path, *rows)
    tokens = tokenizer()
    lengths = [len(p.token_ids) for p in render(pairs, tokens, max_tokens=MANY)[0]]
    prompts, overlong = render(pairs, tokens, max_tokens=lengths[0])
    assert ([p.pair_id for p in prompts], overlong) == (["string-shout"], ["long"])
    with pytest.raises(UsageError, match=f"shortest of 2 has {lengths[0]} tokens"):
        render(pairs, tokens, max_tokens=lengths[0] - 1)


@pytest.mark.slow
def test_a_tokenizer_that_closes_every_text_is_refused(tmp_path: Path) -> None:
    """The trainer would end the prompt's turn by an EOS, which the evaluation does not."""
    from tokenizers import processors

    tokens = tokenizer(None)
    backend = tokens.backend_tokenizer
    ends = [(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=ends
    )
    with pytest.raises(UsageError, match="add_eos_token"):
        render(pair_set(tmp_path, training_row()), tokens, max_tokens=MANY)


@pytest.mark.slow
def test_hostile_rows_are_rendered(tmp_path: Path) -> None:
    row = training_row(description="{{ 7 * 7 }} {% raise %} <s> </s>", update_info="\u202e é \t x")
    (prompt,), _ = render(pair_set(tmp_path, row), tokenizer(), max_tokens=MANY)
    assert "{{ 7 * 7 }} {% raise %}" in prompt.text


def test_training_and_evaluation_use_the_form_that_is_rewarded() -> None:
    """Once `plain` became the default of every task, the reward `format` paid for nothing."""
    from recode_eval.tasks.registry import create_task

    spec = create_task("migration-train").spec
    assert spec.default_prompt != THINK_ANSWER
    assert training_prompt(spec) == THINK_ANSWER
    assert training_prompt(spec, "plain") == "plain"
    assert training_prompt(spec, "own.jinja2") == "own.jinja2"
    arena = create_task("arena-mini").spec
    assert evaluation_prompt(arena, THINK_ANSWER) == THINK_ANSWER
    assert evaluation_prompt(arena, "plain") == "plain"
    assert evaluation_prompt(arena, "own.jinja2") == arena.default_prompt
    only = replace(spec, prompts={"plain": spec.prompts["plain"]})
    assert training_prompt(only) == evaluation_prompt(only, THINK_ANSWER) == "plain"


def test_variants_and_files_of_prompts(tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, training_row())
    assert prompt_template(pairs).name == "recode.jinja2"
    assert prompt_template(pairs, "plain").name == "plain.jinja2"
    own = tmp_path / "own.jinja2"
    own.write_text("{{ old_code }}")
    assert prompt_template(pairs, str(own)).source == "{{ old_code }}"
    with pytest.raises(UsageError, match="recode, plain"):
        prompt_template(pairs, "recod")
    with pytest.raises(UsageError, match="Cannot read"):
        prompt_template(pairs, str(tmp_path / "none.jinja2"))


@pytest.mark.parametrize("prefill", [PREFILL, "<think>", ""])
def test_every_bundled_answer_is_well_formed_and_is_the_reference(prefill: str) -> None:
    for pair in load_pairs("migration").pairs:
        completion = sft_completion(pair, prefill)
        assert is_well_formed(completion, prefill), pair.id
        code = extract(completion, prefill=prefill, entry_point=pair.problem.entry_point).code
        assert exact_match(code or "", pair.problem.solutions["reference"]) == 1.0, pair.id


def test_the_thoughts_name_the_lines_that_change(tmp_path: Path) -> None:
    (pair,) = pair_set(tmp_path, training_row()).pairs
    thoughts, _, answer = sft_completion(pair, PREFILL).partition("</think>")
    assert "numpy 2.4.6" in thoughts
    assert "-    return string.upper(text)\n+    return str.upper(text)" in thoughts
    assert NEW.strip() in answer


def test_code_with_fences_and_without_python_can_be_answers(tmp_path: Path) -> None:
    codes = ['def f():\n    """\n    ```python\n    ```\n    """\n', "not python at all (\n"]
    for code in codes:
        row = {"dependency": "x", "update_info": "n", "old_code": "a = 1", "new_code": code}
        (pair,) = load_pairs(str(write_pairs(tmp_path / "rows.jsonl", row))).pairs
        completion = sft_completion(pair, PREFILL)
        assert is_well_formed(completion, PREFILL)
        assert extract(completion, prefill=PREFILL).code == code.strip("\n")


@pytest.mark.parametrize("tag", ["<think>", "</think>", "<answer>", "</answer>"])
def test_code_that_holds_a_tag_cannot_be_an_answer(tmp_path: Path, tag: str) -> None:
    row = {"dependency": "x", "update_info": "n", "old_code": "a", "new_code": f"a = '{tag}'"}
    (pair,) = load_pairs(str(write_pairs(tmp_path / "rows.jsonl", row))).pairs
    with pytest.raises(DataError, match=pair.id):
        sft_completion(pair, PREFILL)


def test_the_prefill_is_the_template_s(tmp_path: Path) -> None:
    (pair,) = pair_set(tmp_path, training_row()).pairs
    template = PromptTemplate("{% block user %}x{% endblock %}", "own")
    prompt: Prompt = template.render(pair.problem.context)
    assert prompt.prefill == ""
    assert sft_completion(pair, "").startswith("<think>")
