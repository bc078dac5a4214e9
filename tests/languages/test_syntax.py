"""Parsing of answers: what is a program, and what is told without asking the parser."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.languages.python.syntax import parse, parses


def by_the_parser(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


@given(st.text("< `\t\n\x0c\ufeff#x=1\\", max_size=12))
def test_the_first_character_decides_as_the_parser_does(code: str) -> None:
    """A text that begins with a tag or a fence is refused at once: no program begins like that."""
    assert parses(code) == by_the_parser(code)


@pytest.mark.parametrize("code", ["", " \n", "# <answer>\nx = 1", "x = '`'"])
def test_programs(code: str) -> None:
    assert parse(code) is not None


@pytest.mark.parametrize("code", ["<answer>", "\n```python\nx = 1\n```", " `", "x = (", "\0"])
def test_texts_that_are_no_programs(code: str) -> None:
    assert parse(code) is None
