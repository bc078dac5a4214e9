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
    check(extract(f"{fence('a b', 'sh')}\n{fence('c d', 'js')}"), ExtractionMethod.FENCE, "c d")


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
