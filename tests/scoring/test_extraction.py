"""The rules of extraction, one by one, with the mistakes of other harnesses as regression cases."""

from __future__ import annotations

import textwrap

import pytest

from recode_eval.scoring.extraction import Extraction, ExtractionMethod, extract, given

CODE = "def f(x):\n    return x + 1"
OTHER = "def g(x):\n    return x - 1"
PREFILL = "Let me solve this step by step.\n<think>"


def fence(code: str, tag: str = "python", mark: str = "```") -> str:
    return f"{mark}{tag}\n{code}\n{mark}"


def check(found: Extraction, method: ExtractionMethod, code: str | None) -> None:
    assert (found.method, found.code) == (method, code), found


# --- thoughts


@pytest.mark.parametrize("prefill", ["", PREFILL])
def test_a_think_block_that_never_ends_is_no_answer(prefill: str) -> None:
    """Harnesses that graded drafts inside an unclosed think block credited unfinished answers."""
    text = f"I could write\n{fence(CODE)}\n<answer>\n{fence(CODE)}\n</answer>"
    text = text if prefill else "<think>" + text
    check(extract(text, prefill=prefill, entry_point="f"), ExtractionMethod.UNCLOSED_THINK, None)


def test_a_fence_inside_the_thoughts_does_not_count() -> None:
    """Taking the first fenced block anywhere scores a draft (the public reward code does)."""
    text = f"A draft:\n{fence(OTHER)}\n</think>\n<answer>\n{fence(CODE)}\n</answer>"
    check(extract(text, prefill=PREFILL), ExtractionMethod.ANSWER, CODE)


def test_thoughts_alone_hold_no_code() -> None:
    text = f"{fence(CODE)}\n<answer>{fence(CODE)}</answer></think>\nI am done."
    check(extract(text, prefill=PREFILL, entry_point="f"), ExtractionMethod.NONE, None)


def test_only_text_after_the_last_end_of_thinking_counts() -> None:
    text = f"a</think>{fence(OTHER)}<think>b</think>\n{fence(CODE)}"
    check(extract(text, prefill="<think>"), ExtractionMethod.FENCE, CODE)


def test_a_think_opened_again_and_left_open_is_no_answer() -> None:
    text = f"a</think>\n{fence(CODE)}\n<think>wait, no"
    check(extract(text, prefill="<think>"), ExtractionMethod.UNCLOSED_THINK, None)


def test_an_end_of_thinking_that_the_chat_template_opened() -> None:
    """Templates that put `<think>` into the prompt leave a lone `</think>` in the completion."""
    check(extract(f"hm\n</think>\n{fence(CODE)}"), ExtractionMethod.FENCE, CODE)


def test_an_unbalanced_fence_in_the_thoughts_does_not_hide_the_answer() -> None:
    text = f"```python\nx = 1\n</think>\n<answer>\n{fence(CODE)}\n</answer>"
    check(extract(text, prefill=PREFILL), ExtractionMethod.ANSWER, CODE)


def test_a_think_tag_that_is_a_literal_of_the_code() -> None:
    code = "def f(x):\n    return '<think>' + x"
    check(extract(fence(code)), ExtractionMethod.FENCE, code)
    check(extract(code), ExtractionMethod.RAW, code)


OPENINGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<seed:think>": "</seed:think>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|channel>thought\n": "<channel|>",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
    "analysisWe need code. ": "assistantfinal",
    "Here is my thought process:\n": "Here is my response:\n",
    "Here's my thought process:": "Here's my response:",
}
families = pytest.mark.parametrize(("opening", "closing"), OPENINGS.items(), ids=OPENINGS)


@families
def test_a_draft_in_an_unfinished_block_of_any_family_is_no_answer(
    opening: str, closing: str
) -> None:
    """Only `<think>` was known: a draft in Magistral's or gpt-oss's markers passed."""
    del closing
    for draft in (f"A draft:\n{fence(CODE)}\nBut wait", f"\n{CODE}", f"<answer>{CODE}</answer>"):
        found = extract(opening + draft, entry_point="f")
        check(found, ExtractionMethod.UNCLOSED_THINK, None)


@families
def test_what_follows_the_thoughts_of_any_family_is_the_answer(opening: str, closing: str) -> None:
    thoughts = f"{opening}A draft:\n{fence(OTHER)}\nNo: is <reasoning> or <think> a tag?{closing}"
    check(extract(thoughts + fence(CODE)), ExtractionMethod.FENCE, CODE)
    check(extract(f"{thoughts}\n{CODE}\n"), ExtractionMethod.RAW, CODE)
    check(extract(f"{thoughts} I cannot."), ExtractionMethod.NONE, None)


@families
def test_markers_in_the_program_are_literals(opening: str, closing: str) -> None:
    """A closing marker in a string of the answer hid the part of the program before it."""
    code = f"def f(x):\n    return x.strip({opening!r}).split({closing!r})"
    check(extract(fence(code), entry_point="f"), ExtractionMethod.FENCE, code)
    check(extract(f"hm</think>\n{fence(code)}", prefill=PREFILL), ExtractionMethod.FENCE, code)
    check(extract(code), ExtractionMethod.RAW, code)
    code = f"def f(x):\n    '''Strip.\n\n{opening}\n    '''"
    check(extract(code), ExtractionMethod.RAW, code)


def test_a_mention_of_a_marker_opens_nothing() -> None:
    text = f"{fence(CODE)}\nThe `<thinking>` tag and the <reasoning> tag stay. analysisX [THINK]"
    check(extract(text), ExtractionMethod.FENCE, CODE)
    check(extract(f"{fence(CODE)}\nassistantfinal word"), ExtractionMethod.FENCE, CODE)


# --- answer blocks


def test_the_last_complete_answer_block_wins() -> None:
    text = f"<answer>{fence(OTHER)}</answer> no:\n<answer>\n{fence(CODE)}\n</answer>\n<answer>cut"
    check(extract(text), ExtractionMethod.ANSWER, CODE)


def test_the_last_python_block_of_the_answer() -> None:
    answer = "\n".join([fence(OTHER), fence(CODE), fence("pip install x", "bash")])
    check(extract(f"<answer>\n{answer}\n</answer>"), ExtractionMethod.ANSWER, CODE)


@pytest.mark.parametrize(
    "tag", ["python", "Python", "py", "python3", "{.python}", "py title=a", ""]
)
def test_tags_of_python_blocks(tag: str) -> None:
    check(extract(f"<answer>{fence(CODE, tag)}</answer>"), ExtractionMethod.ANSWER, CODE)


def test_an_answer_without_a_fence_is_code_if_it_is_python() -> None:
    check(extract(f"hm <answer>\n\n{CODE}\n\n</answer>"), ExtractionMethod.ANSWER, CODE)
    check(extract("<answer>\nIt cannot be done.\n</answer>"), ExtractionMethod.NONE, None)


def test_an_answer_in_python_tags() -> None:
    check(extract(f"<answer>[PYTHON]\n{CODE}\n[/PYTHON]</answer>"), ExtractionMethod.ANSWER, CODE)


def test_a_fence_that_ends_with_its_block() -> None:
    cut = f"```python\n{CODE}\n"
    check(extract(f"<answer>\n{cut}</answer>"), ExtractionMethod.ANSWER, CODE)
    check(extract(f"[PYTHON]\n{cut}[/PYTHON]"), ExtractionMethod.PYTHON_TAGS, CODE)


@pytest.mark.parametrize("answer", ["", "\n", "```python\n```", "```python\n\n \n```", "42 apples"])
def test_an_answer_without_code_is_no_code_even_where_code_stands_outside(answer: str) -> None:
    text = f"{fence(CODE)}\n<answer>{answer}</answer>"
    check(extract(text, entry_point="f"), ExtractionMethod.NONE, None)


def test_another_language_in_the_answer_is_no_code() -> None:
    text = f"<answer>{fence('console.log(1)', 'js')}</answer>"
    check(extract(text), ExtractionMethod.NONE, None)


def test_code_with_a_syntax_error_in_a_fence_is_still_the_answer() -> None:
    check(extract(f"<answer>{fence('def f(:')}</answer>"), ExtractionMethod.ANSWER, "def f(:")


# --- [PYTHON] tags


def test_the_first_python_tags_answer_the_question() -> None:
    """One-shot prompted models go on with an invented question and its answer."""
    text = (
        f"[PYTHON]\n{CODE}\n[/PYTHON]\n[INST] Next question [/INST]\n[PYTHON]\n{OTHER}\n[/PYTHON]"
    )
    check(extract(text, entry_point="f"), ExtractionMethod.PYTHON_TAGS, CODE)


def test_prose_that_mentions_the_tags_is_not_code() -> None:
    text = f"Code goes between [PYTHON] and [/PYTHON] tags.\n[PYTHON]\n{CODE}\n[/PYTHON]"
    check(extract(text), ExtractionMethod.PYTHON_TAGS, CODE)
    text = f"Code goes behind a [PYTHON] tag.\n[PYTHON]\n{CODE}\n[/PYTHON]"
    check(extract(text), ExtractionMethod.PYTHON_TAGS, CODE)
    text = f"Code goes between [PYTHON] and [/PYTHON] tags.\n{fence(CODE)}"
    check(extract(text), ExtractionMethod.FENCE, CODE)


def test_a_fence_in_python_tags() -> None:
    text = f"[PYTHON]\n{fence(CODE)}\n[/PYTHON]"
    check(extract(text), ExtractionMethod.PYTHON_TAGS, CODE)


def test_python_tags_with_a_syntax_error_are_the_answer() -> None:
    text = f"[PYTHON]\ndef f(:\n  pass\n[/PYTHON]\n[PYTHON]\n{OTHER}\n[/PYTHON]"
    check(extract(text), ExtractionMethod.PYTHON_TAGS, "def f(:\n  pass")


# --- fences


def test_the_block_that_defines_the_entry_point_beats_later_blocks() -> None:
    """Models that go on to show a usage example or tests lost their answer to the last block."""
    usage = fence("print(f(1))\ndef test_f():\n    assert f(1) == 2")
    check(extract(f"{fence(CODE)}\n{usage}", entry_point="f"), ExtractionMethod.FENCE, CODE)


def test_the_last_block_that_defines_the_entry_point() -> None:
    better = "f = lambda x: x + 1"
    text = "\n".join([fence(CODE), fence(better), fence(OTHER)])
    check(extract(text, entry_point="f"), ExtractionMethod.FENCE, better)


def test_without_an_entry_point_the_last_python_block_that_parses() -> None:
    text = "\n".join([fence(OTHER), fence(CODE), fence("f(:"), fence("1", "")])
    check(extract(text), ExtractionMethod.FENCE, CODE)


def test_an_output_block_is_not_taken_for_the_program() -> None:
    text = f"{fence(CODE, '')}\nIt prints\n{fence('[1, 2, 3]', '')}"
    check(extract(text), ExtractionMethod.FENCE, CODE)


def test_blocks_that_do_not_parse_fall_back_to_the_last() -> None:
    check(extract(f"{fence('a b')}\n{fence('c d')}"), ExtractionMethod.FENCE, "c d")
    check(extract(f"{fence('a b', '')}\n{fence('c d', 'js')}"), ExtractionMethod.FENCE, "a b")


@pytest.mark.parametrize("tag", ["js", "sh", "lua", "diff", "text2"])
def test_a_block_of_another_language_is_never_taken(tag: str) -> None:
    """Where no Python was found, the last block was the answer, whatever its language."""
    assert extract(fence("f = sum", tag), entry_point="f").code is None
    assert extract(f"Do: {fence('f = sum', tag)}", entry_point="f").code is None
    assert extract(fence(fence("f = sum", tag), "markdown"), entry_point="f").code is None
    text = f"{fence('f(:')}\n{fence('f = sum', tag)}"
    check(extract(text, entry_point="f"), ExtractionMethod.FENCE, "f(:")


@pytest.mark.parametrize("tag", ["text", "code", "Solution"])
def test_a_tag_that_names_no_language_does_no_harm(tag: str) -> None:
    check(extract(fence(CODE, tag), entry_point="f"), ExtractionMethod.FENCE, CODE)


def test_a_fence_in_a_list_item_loses_its_indent() -> None:
    text = "1. Do this:\n" + textwrap.indent(fence(CODE), "   ") + "\n2. Enjoy."
    check(extract(text), ExtractionMethod.FENCE, CODE)


def test_backticks_in_an_indented_docstring_do_not_end_the_block() -> None:
    """Searching for the next three backticks cuts the program in its docstring."""
    docstring = '"""Add one.\n\n    ```\n    f(1)\n    ```\n    or ```f```\n    """'
    code = f"def f(x):\n    {docstring}\n    return x + 1"
    check(extract(fence(code)), ExtractionMethod.FENCE, code)
    check(extract(code), ExtractionMethod.RAW, code)


def test_a_longer_fence_holds_a_shorter_one() -> None:
    code = f'"""\n{fence("x")}\n"""\n{CODE}'
    check(extract(fence(code, mark="````")), ExtractionMethod.FENCE, code)
    check(extract(fence(code, mark="~~~")), ExtractionMethod.FENCE, code)


# --- fences that break Markdown's rules


def loose(text: str, code: str = CODE) -> None:
    for entry_point in ("f", None):
        check(extract(text, entry_point=entry_point), ExtractionMethod.FENCE, code)
        answer = extract(f"<answer>{text}</answer>", entry_point=entry_point)
        check(answer, ExtractionMethod.ANSWER, code)


def test_a_fence_opened_behind_words() -> None:
    """`The code: ```python` was no fence: its closing fence opened an empty block, and no code."""
    loose(f"The code: {fence(CODE)}\n")
    loose(f"Run ```sh\npip install x\n```, then ```python\n{CODE}\n``` and enjoy.")


def test_a_fence_closed_behind_code() -> None:
    """The program ended in three backticks and did not parse."""
    loose(f"```python\n{CODE}```\n")
    loose(f"```python\n{CODE}```\n\nIt runs so:\n{fence('run', 'sh')}")
    check(extract(f"{CODE}```", prefill="```python\n"), ExtractionMethod.FENCE, CODE)


@pytest.mark.parametrize("token", ["<|im_end|>", " <|eot_id|>", "</s>", "<|im_end|><|endoftext|>"])
def test_special_tokens_behind_the_answer(token: str) -> None:
    """A tokenizer that keeps its special tokens left one behind the closing fence: no code."""
    check(extract(fence(CODE) + token), ExtractionMethod.FENCE, CODE)
    check(extract(f"{fence(CODE)}{token}\nuser\nThanks"), ExtractionMethod.FENCE, CODE)
    check(extract(f"{CODE}\n{token}\n"), ExtractionMethod.RAW, CODE)
    check(extract(f"<|START_RESPONSE|>{fence(CODE)}<|END_RESPONSE|>"), ExtractionMethod.FENCE, CODE)


@pytest.mark.parametrize(("mark", "tag"), [("```", "markdown"), ("````", "md"), ("````", "")])
def test_a_block_in_a_block_of_markdown(mark: str, tag: str) -> None:
    """The outer block was taken as a whole, which is no program."""
    loose(fence(f"## Answer\n\n{fence(CODE)}", tag, mark))


@pytest.mark.parametrize("inner", ["```\nf(1)\n```", "```sh\nrun\n```", "```python\nf(1)\n```"])
@pytest.mark.parametrize("quotes", ['"""', "'''"])
def test_fences_in_a_docstring_without_indent(inner: str, quotes: str) -> None:
    """The fence in the docstring of a module ended the program."""
    code = f"{quotes}Adds.\n\n{inner}\n{quotes}\n{CODE}"
    loose(fence(code), code)
    loose(f"{fence(code)}\nUse it:\n{fence('print(f(1))', 'sh')}", code)
    check(extract(f"{code}\n```\nDone.", prefill="```python\n"), ExtractionMethod.FENCE, code)


def test_irregular_fences_without_a_program_change_nothing() -> None:
    check(
        extract("Use ```x``` and ```python\nno code at all\n``` here."), ExtractionMethod.NONE, None
    )
    check(extract("Say: ```\nprint(1)\n```"), ExtractionMethod.NONE, None)


# --- programs without any mark-up, and text that is cut off


def test_a_bare_program() -> None:
    check(extract(f"\n\n{CODE}\n"), ExtractionMethod.RAW, CODE)
    check(extract(f" {CODE}"), ExtractionMethod.RAW, CODE)
    check(extract(textwrap.indent(CODE, "    ")), ExtractionMethod.RAW, CODE)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "Hello", "42", "I cannot do that.", "a, b", "import os"]
)
def test_prose_is_not_a_program(text: str) -> None:
    check(extract(text), ExtractionMethod.NONE, None)


def test_a_fence_that_is_cut_off_counts_if_it_parses_and_nothing_is_complete() -> None:
    check(extract(f"So:\n```python\n{CODE}"), ExtractionMethod.UNCLOSED_FENCE, CODE)
    check(extract(f"So:\n```python\n{CODE}\n    if x"), ExtractionMethod.NONE, None)
    check(extract("So:\n```js\nx = 1"), ExtractionMethod.NONE, None)
    check(extract(f"{fence(OTHER)}\n```python\n{CODE}"), ExtractionMethod.FENCE, OTHER)


def test_tags_that_are_cut_off_say_so() -> None:
    """A stop string such as `[/PYTHON]` is not part of the completion."""
    check(extract(f"[PYTHON]\n{CODE}\n"), ExtractionMethod.UNCLOSED_PYTHON_TAGS, CODE)
    check(extract(f"a</think>\n<answer>\n{CODE}\n"), ExtractionMethod.UNCLOSED_ANSWER, CODE)


def test_code_in_an_answer_that_is_cut_off_beats_earlier_drafts() -> None:
    text = f"{fence(OTHER)}\n<answer>{fence(CODE)}\n"
    check(extract(text, prefill="</think>"), ExtractionMethod.FENCE, CODE)


# --- prefills


def test_a_prefill_that_opens_python_tags() -> None:
    text = f"{CODE}\n[/PYTHON]\n[PYTHON]\n{OTHER}\n[/PYTHON]"
    check(extract(text, prefill="[PYTHON]\n"), ExtractionMethod.PYTHON_TAGS, CODE)


def test_a_prefill_that_opens_a_fence_is_closed_at_the_first_mark() -> None:
    text = f"{CODE}\n```\nNow a test:\n{fence('assert f(1) == 2')}"
    check(extract(text, prefill="Here:\n```python\n"), ExtractionMethod.FENCE, CODE)
    check(extract(CODE, prefill="Here:\n```python\n"), ExtractionMethod.UNCLOSED_FENCE, CODE)


def test_code_in_the_prefill_belongs_to_the_program() -> None:
    text = "    return x + 1\n```\nDone."
    check(extract(text, prefill="```python\ndef f(x):\n"), ExtractionMethod.FENCE, CODE)
    check(extract("    return x + 1\n", prefill="def f(x):\n"), ExtractionMethod.RAW, CODE)
    text = f"{CODE}\n"
    prefill = "[PYTHON]\nimport os\n"
    check(
        extract(text, prefill=prefill), ExtractionMethod.UNCLOSED_PYTHON_TAGS, f"import os\n{CODE}"
    )


def test_a_prefill_of_prose_does_not_spoil_a_bare_program() -> None:
    check(extract(CODE, prefill="Sure, here you are:\n"), ExtractionMethod.RAW, CODE)


def test_a_prefill_with_finished_thoughts_and_an_open_fence() -> None:
    text = f"{CODE}\n```\n{fence(OTHER)}"
    prefill = "<think>\n\n</think>\n\n```python\n"
    check(extract(text, prefill=prefill), ExtractionMethod.FENCE, CODE)


# --- characters


def test_windows_line_ends() -> None:
    text = f"hm</think>\n<answer>\n{fence(CODE)}\n</answer>".replace("\n", "\r\n")
    check(extract(text, prefill=PREFILL), ExtractionMethod.ANSWER, CODE)


@pytest.mark.parametrize("character", ["\0", "\ud800", "\u2028", "\x0c", "\x1c", "\x85"])
def test_odd_characters_stay_in_the_code(character: str) -> None:
    """`str.splitlines` splits string literals at separators that are no line ends for Python."""
    code = f"def f(x):\n    return '{character}'"
    check(extract(f"a{character}b\n{fence(code)}"), ExtractionMethod.FENCE, code)


def test_given_code_is_taken_as_it_is() -> None:
    check(given("\n  no python at all ```\n"), ExtractionMethod.GIVEN, "\n  no python at all ```\n")
    check(given(" \n"), ExtractionMethod.NONE, None)
