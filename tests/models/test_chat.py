"""Prompts as the model sees them: the forms of chat templates that are in use."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="needs pip install 'recode-eval[transformers]'")

import tiny_model
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import UsageError
from recode_eval.models import Message, Prompt
from recode_eval.models.chat import PromptEncoder, well_formed

PREFILL = "Let me solve this step by step.\n<think>"
CHAT = (Message("system", "Be brief."), Message("user", "Add."))
LOOP = "{% for m in messages %}"
TURN = "{{ '<|turn|>' + m['role'] + '\n' + m['content'] + '</s>\n' }}"
END = "{% endfor %}"
OPEN = "{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
EMPTY_THINK = (
    LOOP + "{% if m['role'] == 'assistant' and loop.last %}"
    "{{ '<|turn|>assistant\n<think>\n\n</think>\n\n' + m['content'] + '</s>\n' }}"
    "{% else %}" + TURN + "{% endif %}" + END + OPEN
)
THINKING_START = (
    LOOP + TURN + END + "{% if add_generation_prompt %}{{ '<|turn|>assistant\n<think>\n' }}"
    "{% endif %}"
)
CUTS_THINKING = (
    LOOP + "{{ '<|turn|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}"
    "{{ m['content'].split('<think>')[0] }}{% else %}{{ m['content'] }}{% endif %}"
    "{{ '</s>\n' }}" + END + "{% if add_generation_prompt %}"
    "{{ '<|turn|>assistant\n<think>\n' }}{% endif %}"
)
NO_SYSTEM = (
    LOOP + "{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{{ '<|turn|>' + m['role'] + '\n' + m['content'] | trim + '</s>\n' }}" + END + OPEN
)
USER_LAST = (
    "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('must end with user') }}{% endif %}"
    + LOOP + TURN + END + OPEN
)  # fmt: skip
NO_ASSISTANT = (
    LOOP + "{% if m['role'] == 'assistant' %}{{ raise_exception('no assistant') }}{% endif %}"
    + TURN + END + OPEN
)  # fmt: skip
HEAD = "<|turn|>system\nBe brief.</s>\n<|turn|>user\nAdd.</s>\n<|turn|>assistant\n"


def render(template: str, prompt: Prompt) -> str:
    return PromptEncoder(tiny_model.build_tokenizer(template)).render(prompt)


def test_one_bos_only() -> None:
    """Template and tokenizer both put a BOS before the prompt; the model has never seen two."""
    tokenizer = tiny_model.build_tokenizer()
    ids = PromptEncoder(tokenizer).encode(Prompt(CHAT, PREFILL))
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(ids) == "<s>" + HEAD + PREFILL


def test_without_prefill_the_assistants_turn_is_opened() -> None:
    assert render(tiny_model.CHAT_TEMPLATE, Prompt(CHAT)) == "<s>" + HEAD


@pytest.mark.parametrize(
    "template",
    [LOOP + TURN + END + OPEN, EMPTY_THINK, THINKING_START, CUTS_THINKING, USER_LAST, NO_ASSISTANT],
    ids=[
        "plain", "empty think block", "generation prompt thinks", "cuts thinking", "user last",
        "no assistant",
    ],
)  # fmt: skip
def test_the_turn_ends_with_the_prefill_and_nothing_else(template: str) -> None:
    """Some templates put an empty think block before the last answer: 'I have already thought'.

    Others refuse an assistant message at the end, which made the model unusable with a prefill.
    """
    assert render(template, Prompt(CHAT, PREFILL)) == HEAD + PREFILL


def test_a_template_that_opens_thinking_keeps_doing_so_without_prefill() -> None:
    assert render(THINKING_START, Prompt(CHAT)) == HEAD + "<think>\n"


def test_system_message_moves_where_the_template_refuses_it() -> None:
    encoder = PromptEncoder(tiny_model.build_tokenizer(NO_SYSTEM))
    expected = "<|turn|>user\nBe brief.\n\nAdd.</s>\n<|turn|>assistant\n" + PREFILL
    assert encoder.render(Prompt(CHAT, PREFILL)) == expected
    assert encoder.merges_system
    assert encoder.render(Prompt(CHAT, PREFILL)) == expected


def test_a_template_that_refuses_the_system_and_the_last_assistant_message() -> None:
    template = USER_LAST.replace(TURN, "{% if m['role'] == 'system' %}{{ raise_exception('no') }}"
                                 "{% endif %}" + TURN)  # fmt: skip
    encoder = PromptEncoder(tiny_model.build_tokenizer(template))
    expected = "<|turn|>user\nBe brief.\n\nAdd.</s>\n<|turn|>assistant\n" + PREFILL
    assert encoder.render(Prompt(CHAT, PREFILL)) == expected
    assert encoder.merges_system


def test_trailing_space_of_the_prefill_survives_trimming() -> None:
    assert render(NO_SYSTEM, Prompt(CHAT[1:], "def f(\n")).endswith("assistant\ndef f(\n")


def test_template_that_refuses_everything() -> None:
    with pytest.raises(UsageError, match="refuses the prompt: never"):
        render("{{ raise_exception('never') }}", Prompt(CHAT, PREFILL))


def test_plain_text_for_a_model_without_template() -> None:
    tokenizer = tiny_model.build_tokenizer(None)
    encoder = PromptEncoder(tokenizer)
    ids = encoder.encode(Prompt(CHAT, "def"))
    assert tokenizer.decode(ids) == "<s>Be brief.\n\nAdd.\n\ndef"
    assert not encoder.has_template


@given(st.text(max_size=40))
def test_decoding_gives_what_was_encoded(text: str) -> None:
    """Leading spaces and newlines of a completion are part of the code."""
    tokenizer = tiny_model.build_tokenizer()
    encoder = PromptEncoder(tokenizer)
    clean = well_formed(text)
    ids = tokenizer(clean, add_special_tokens=False)["input_ids"]
    prompt = encoder.encode(Prompt(CHAT, PREFILL))
    special = any(token in clean for token in tokenizer.all_special_tokens)
    assert special or encoder.decode(prompt, ids) == clean.rstrip("\ufffd")


def test_lone_surrogates_are_replaced() -> None:
    """The tokenizer raised TypeError on a prompt with half a surrogate pair."""
    assert well_formed("a\ud800b\x00\U0001f600") == "a\ufffdb\x00\U0001f600"
    encoder = PromptEncoder(tiny_model.build_tokenizer())
    assert encoder.encode(Prompt((Message("user", "\udfff"),)))
