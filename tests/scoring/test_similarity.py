"""EM, ES, EM*, ES* and the normalisation before them, against hand-computed and oracle values."""

from __future__ import annotations

import ast
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recode_eval.languages.python import normalize as python_normalize
from recode_eval.languages.python.syntax import MAX_CODE_CHARS, parses
from recode_eval.scoring import (
    Similarity,
    edit_similarity,
    em_star,
    es_star,
    exact_match,
    normalize,
    similarity_scores,
)


def plain_levenshtein(a: str, b: str) -> int:
    """Return the edit distance by the textbook's table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


# --- normalisation


@pytest.mark.parametrize(
    ("code", "normalized"),
    [
        ("", ""),
        ("\n\n  \n", ""),
        ("# only a comment", ""),
        ("x = 1  # one", "x = 1"),
        ("x = 1\t \t# one\ny = 2  ", "x = 1\ny = 2  "),
        ("x = 1\r\n\r\ny = 2\r\n", "x = 1\ny = 2"),
        ("def f():\n    # why\n\n    return 1\n\n\n", "def f():\n    return 1"),
        ('def f():\n    """Doc.\n\n    # no comment\n    """  # yes', None),
        ("x = '# no comment'\ny = \"it's # none\"", "x = '# no comment'\ny = \"it's # none\""),
        ("f(\n    1,  # one\n\n    # two\n    2,\n)", "f(\n    1,\n    2,\n)"),
        ("x = 1 + \\\n\ny = 2", "x = 1 + \\\n\ny = 2"),
        ("\f\nx = 1\n\f", "x = 1"),
        ("s = '''\n\n \n'''\n\nt = 1", "s = '''\n\n \n'''\nt = 1"),
        ("s = f'''\n\n{1}\n\n# {2}\n\n'''\n\nt = 1", "s = f'''\n\n{1}\n\n# {2}\n\n'''\nt = 1"),
        ('x = 1  # a # b \'c\' """d', "x = 1"),
        ("if x:\n    # todo\n", "if x:"),
    ],
)
def test_normalisation_by_hand(code: str, normalized: str | None) -> None:
    if normalized is None:
        normalized = code.removesuffix("  # yes")
    assert normalize(code) == normalized


def test_an_apostrophe_in_a_comment_eats_no_code() -> None:
    """A regular expression pairs the apostrophe with the next quote and drops what is between."""
    code = "x = 1  # don't\ny = 'a'  # it's\nz = \"b\""
    assert normalize(code) == "x = 1\ny = 'a'\nz = \"b\""


def test_more_than_ten_strings_stay_apart() -> None:
    """Numbered placeholders for strings collide from the eleventh on (`1` is a prefix of `10`)."""
    lines = [f"s{i} = 'string {i} # {i}'" for i in range(30)]
    code = "\n".join(f"{line}  # comment {i}" for i, line in enumerate(lines))
    assert normalize(code) == "\n".join(lines)


@pytest.mark.parametrize(
    "code",
    ["def f(:  # c\n'", "x = (  # c\n", "'''a # b", "  x\n y # c\n", "x = $ # c", "Hi! # c ?"],
)
def test_code_without_tokens_is_compared_as_it_is(code: str) -> None:
    assert normalize(code) == code


# --- the measures

REFERENCE = "def f(x):\n    return x"  # 22 characters
EDITED = "def f(x):\n    return y"  # one substitution: ES = 21/22


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        (None, REFERENCE, Similarity(0.0, 0.0, -2.0, -2.0)),
        (REFERENCE, REFERENCE, Similarity(1.0, 1.0, 2.0, 2.0)),
        (f"# a\n\n{REFERENCE}  # b\n", REFERENCE, Similarity(1.0, 1.0, 2.0, 2.0)),
        (REFERENCE, f"# it's\n{REFERENCE}", Similarity(1.0, 1.0, 2.0, 2.0)),
        (EDITED, REFERENCE, Similarity(21 / 22, 0.0, 3.5 * 21 / 22 - 1.5, -1.5)),
        ("def f(x:\n    return x", REFERENCE, Similarity(21 / 22, 0.0, -2.0, -2.0)),
        ("", "", Similarity(1.0, 1.0, 2.0, 2.0)),
        ("# nothing", "", Similarity(1.0, 1.0, 2.0, 2.0)),
        ("", REFERENCE, Similarity(0.0, 0.0, -1.5, -1.5)),
        ("a", "b", Similarity(0.0, 0.0, -1.5, -1.5)),
        ("ab", "abcd", Similarity(0.5, 0.0, 0.25, -1.5)),
        ("x = (", "x = (", Similarity(1.0, 1.0, -2.0, 2.0)),
        ("a = 'é'", "a = 'e'", Similarity(6 / 7, 0.0, 1.5, -1.5)),
    ],
)
def test_measures_by_hand(candidate: str | None, reference: str, expected: Similarity) -> None:
    found = similarity_scores(candidate, reference)
    assert found.es == pytest.approx(expected.es)
    assert found.em == expected.em
    assert found.es_star == pytest.approx(expected.es_star)
    assert found.em_star == expected.em_star
    assert es_star(candidate, reference) == found.es_star
    assert em_star(candidate, reference) == found.em_star
    if candidate is not None:
        assert edit_similarity(candidate, reference) == found.es
        assert exact_match(candidate, reference) == found.em


def test_a_comment_or_a_blank_line_changes_nothing() -> None:
    """The public code leaves the white space before a removed comment, so equal programs differ."""
    assert em_star("x = f(1)  # changed\n\n", "x = f(1)") == 2.0


# --- properties

statements = st.sampled_from(
    [
        "x = 1",
        "y = 'a # b'",
        "def f(a):\n    '''Doc.\n\n    # no\n    '''\n    return a",
        "f(\n  1,\n)",
        "if x:\n    pass\nelse:\n    # c\n    x = 2",
        "s = f'{x}' # don't",
        "# '",
        "",
        "   ",
        'z = """\n\n"""',
        "class A:\n\n    # c\n    b = 1  # d\n\n    c = 2",
        "x = 1 + \\\n  2  # e",
        "w = {  # f\n  1: 2 }",
    ]
)
programs = st.lists(statements, max_size=8).map("\n".join)
anything = st.one_of(
    programs, st.text(max_size=60), st.text(alphabet="x='\"#\\ \n\t():", max_size=40)
)


@given(programs)
def test_normalisation_keeps_the_program_and_drops_every_comment(code: str) -> None:
    normalized = normalize(code)
    assert ast.dump(ast.parse(normalized)) == ast.dump(ast.parse(code))
    assert normalize(normalized) == normalized
    assert "don't" not in normalized


@given(anything)
def test_the_short_way_past_the_tokeniser_gives_the_same(code: str) -> None:
    """Most programs are normalized line by line; the tokenizer decides that."""
    short = python_normalize._without_plain_comments(code) if parses(code) else None
    if short is not None:
        assert short == python_normalize._by_tokens(code)


@given(anything)
@example("x \\\n# c")
@example("x\\\n")
@example("#\\\n\nx")
def test_normalisation_is_idempotent_and_never_longer(code: str) -> None:
    normalized = normalize(code)
    assert normalize(normalized) == normalized
    assert len(normalized) <= len(code)
    # A comment alone behind a backslash at the end: without it nothing ends the line.
    if parses(code) and "\\\n" not in code:
        assert parses(normalized)


@given(anything, anything)
def test_similarity_is_one_minus_the_relative_edit_distance(first: str, second: str) -> None:
    a, b = normalize(first), normalize(second)
    longest = max(len(a), len(b))
    expected = 1 - plain_levenshtein(a, b) / longest if longest else 1.0
    assert edit_similarity(first, second) == pytest.approx(expected, abs=1e-12)
    assert edit_similarity(first, second) == edit_similarity(second, first)


@given(anything, anything)
def test_ranges_and_relations(candidate: str, reference: str) -> None:
    found = similarity_scores(candidate, reference)
    assert 0 <= found.es <= 1
    assert (found.em == 1) == (found.es == 1) == (found.em_star == 2)
    if parses(candidate):
        assert found.es_star == pytest.approx(3.5 * found.es - 1.5)
        assert found.em_star in {2.0, -1.5}
    else:
        assert found.es_star == -2
        assert found.em_star in {2.0, -2.0}


# --- hostile source

MEGABYTE = 1_000_000
HOSTILE = {
    "nul": "\0" * MEGABYTE,
    "surrogate": "\ud800" * MEGABYTE,
    "lines": "x = 1\n" * (MEGABYTE // 6),
    "one line": "x = " + "1," * (MEGABYTE // 2),
    "nesting": "(" * 190_000,
    "minus": "-" * 190_000,
    "calls": "f(" * 95_000,
    "blocks": "".join(" " * i + "if x:\n" for i in range(600)),
    "quotes": "'a\"" * 60_000,
    "long string": "x = '" + "a" * 190_000 + "'",
    "items": "x = " + "1," * 95_000,
    "comments": "#\n" * 95_000,
    "f-strings": "f'{" * 60_000,
    "backslashes": "\\\n" * 95_000,
    "triple quotes": '"""' * 60_000,
    "digits": "x = " + "1" * 190_000,
    "attributes": "a" + ".b" * 90_000,
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_source_takes_seconds_and_never_crashes(code: str) -> None:
    began = time.process_time()
    found = similarity_scores(code, REFERENCE * 50)
    similarity_scores(REFERENCE, code)
    assert time.process_time() - began < 30
    assert 0 <= found.es <= 1
    assert -2 <= found.es_star <= 2


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_distance_of_two_megabytes_is_bounded_from_above() -> None:
    first = ("ab" * MEGABYTE)[:MEGABYTE]
    second = ("ba" * MEGABYTE)[: MEGABYTE // 2]
    began = time.process_time()
    similarity = edit_similarity(first, second)
    assert time.process_time() - began < 30
    # The exact value: half of `first` goes. The bound may only be lower.
    assert 0.15 < similarity <= 0.5
    assert edit_similarity(first, first) == 1.0


def test_beyond_the_limit_code_is_compared_as_it_is() -> None:
    long = "x = 1  # c\n" * (MAX_CODE_CHARS // 11 + 1)
    assert normalize(long) == long
    assert es_star(long, "x = 1") == -2
