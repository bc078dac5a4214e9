"""Extraction and its fence scanner against generated text, another parser, and hostile text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from recode_eval.languages.python.syntax import defined_names, parse, parses
from recode_eval.scoring import is_well_formed
from recode_eval.scoring.extraction import ExtractionMethod, extract
from recode_eval.scoring.markdown import fences

PREFILL = "Let me solve this step by step.\n<think>"
PIECES = [
    "<think>", "</think>", "<answer>", "</answer>", "[PYTHON]", "[/PYTHON]", "```", "```python",
    "````", "~~~", "~~~py", "\n", "\r\n", " ", "    ", "\t", "def f(x):\n    return x\n", "x = 1\n",
    "Some prose.", "'", '"""', "#", "(", "\\", "\0", "\ud800",
]  # fmt: skip
anything = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8))).map("".join)

# Literals may hold anything, so that the marks of the format occur inside of the program.
literals = st.text(max_size=30).map(repr)
docstrings = st.lists(
    st.sampled_from(["Text.", "```", "```python", "~~~", "x = 1"]), max_size=4
).map(lambda lines: '"""' + "\n    ".join(["Do.", *lines]) + '\n    """')
programs = st.builds(
    lambda doc, literal, comment: f"def f(x):\n    {doc}\n    # {comment}\n    return {literal}",
    docstrings,
    literals.filter(lambda text: "<" not in text and "[" not in text),
    st.text(alphabet="abc '\"`", max_size=20).map(str.rstrip),
)
prose = st.text(alphabet="abc .,'\n", max_size=60)


@given(anything, st.sampled_from(["", PREFILL, "[PYTHON]\n", "```python\n", "<answer>"]))
@example("<answer></answer>", "")
@example("```", "```")
def test_extraction_never_raises_and_gives_no_blank_code(text: str, prefill: str) -> None:
    found = extract(text, prefill=prefill, entry_point="f")
    none = found.method in {ExtractionMethod.NONE, ExtractionMethod.UNCLOSED_THINK}
    assert (found.code is None) == none
    if found.code is not None:
        assert found.code.strip()
        assert found.code == found.code.rstrip()
        assert "\r" not in found.code


@given(anything)
def test_text_in_thoughts_that_never_end_gives_nothing(text: str) -> None:
    text = text.replace("</think>", "")
    assert extract(text, prefill=PREFILL).method is ExtractionMethod.UNCLOSED_THINK


@given(prose, programs, prose)
def test_the_expected_form_gives_back_the_program(thoughts: str, code: str, after: str) -> None:
    text = f"{thoughts}</think>\n<answer>\n```python\n{code}\n```\n</answer>{after}"
    found = extract(text, prefill=PREFILL, entry_point="f")
    assert (found.method, found.code) == (ExtractionMethod.ANSWER, code)
    assert is_well_formed(text, PREFILL) == bool(thoughts.strip() and not after.strip())


@given(prose, programs, prose, st.sampled_from(["```", "````", "~~~~"]))
def test_a_fenced_program_comes_back_unchanged(
    before: str, code: str, after: str, mark: str
) -> None:
    text = f"It is: {before}\n{mark}python\n{code}\n{mark}\n{after}"
    found = extract(text, entry_point="f")
    assert (found.method, found.code) == (ExtractionMethod.FENCE, code)


module_docstrings = st.lists(
    st.sampled_from(["Text.", "```", "```python", "```sh", "~~~", "x = 1", "text```"]), max_size=6
).map(lambda lines: '"""' + "\n".join(["Do.", *lines]) + '\n"""')


@given(
    prose.map(lambda text: text.replace("'", "")),
    st.builds(lambda doc, code: f"{doc}\n{code}", module_docstrings, programs),
    st.sampled_from(["{}\n```python\n{}\n```", "{}: ```python\n{}\n```", "{}\n```python\n{}```"]),
    st.sampled_from(["", "\n", "<|im_end|>", "\nRun it:\n```sh\nrun\n```"]),
)
def test_a_program_is_never_cut_at_a_fence_in_its_docstring(
    before: str, code: str, form: str, after: str
) -> None:
    """Fences at the margin of a docstring, glued to words or to code: all or nothing.

    A fence that ends a comment looks like one that was glued to code, and is not meant here; nor is
    a marker of thoughts in code whose fence is no fence by Markdown's rules.
    """
    assume("think" not in code.casefold())
    code = re.sub("# .*", lambda comment: comment[0].replace("```", "text"), code)
    text = form.format(f"It is{before}", code) + after
    assert extract(text, entry_point="f").code == code


@given(anything, st.sampled_from(["js", "sh", "diff", "java"]), st.sampled_from(["```", "~~~~"]))
def test_a_block_of_another_language_is_no_answer(text: str, tag: str, mark: str) -> None:
    text = text.replace("`", "").replace("~", "").replace("<", "").replace("[", "")
    found = extract(f"It is:\n{mark}{tag}\n{text}\nf = 1\n{mark}\nas said.", entry_point="f")
    assert found.code is None


@given(programs)
def test_a_program_without_mark_up_comes_back_unchanged(code: str) -> None:
    found = extract(code)
    assert (found.method, found.code) == (ExtractionMethod.RAW, code)


@given(
    st.lists(
        st.builds(
            lambda indent, mark, rest: " " * indent + mark + rest,
            st.integers(0, 3),
            st.sampled_from(["", "`", "``", "```", "````", "`````", "~~", "~~~", "~~~~~"]),
            st.sampled_from(["", " ", "python", " python x", "a`b", "text", "\t", "```"]),
        ),
        max_size=12,
    ).map(lambda lines: "".join(line + "\n" for line in lines))
)
def test_fences_are_those_of_a_commonmark_parser(text: str) -> None:
    """Indents of more than three columns are left out: there this scanner is more liberal."""
    parser = MarkdownIt("zero").enable("fence")
    expected = [t.content.removesuffix("\n") for t in parser.parse(text) if t.type == "fence"]
    assert [f.code for f in fences(text)] == expected


@given(anything)
def test_fences_lie_in_order_and_only_the_last_is_open(text: str) -> None:
    found = fences(text)
    positions = [p for f in found for p in (f.start, f.end)]
    assert positions == sorted(positions)
    assert all(f.closed for f in found[:-1])
    assert all(f.end <= len(text) for f in found)


def test_the_indent_of_a_fence_is_removed_by_columns() -> None:
    (block,) = fences("\t```python\n\tif x:\n\t\ty\n  z\n\n      w\n\t```")
    assert block.code == "if x:\n\ty\nz\n\n  w"


HOSTILE = {
    "backticks": "`", "tildes": "~", "think": "<think>", "end of think": "</think>",
    "answer": "<answer>", "end of answer": "</answer>", "empty answers": "<answer></answer>",
    "python": "[PYTHON]", "end of python": "[/PYTHON]", "blocks": "[PYTHON]\n(\n[/PYTHON]",
    "fences": "```\n", "broken blocks": "```python\nf=(\n```\n", "blank": " ", "lines": " \n",
    "nul": "\0", "surrogate": "\ud800", "carriage returns": "\r", "parentheses": "(", "minus": "-",
    "thoughts": "[THINK]", "channels": "<|channel|>analysis", "finals": "<|channel|>final",
    "tokens": "<|im_end|>", "glued fences": "x = 1```\n", "docstrings": '```python\n"""\n```\n',
    "openings": "```python\n", "inline": "a ```python b\n", "long fences": "````\nx```\n",
    "other languages": "```js\nx", "markdown": "```md\n", "words": "analysisHere is my response:",
    "literals": "```\n'<think>'\n```\n", "calls": "```python\nprint(1)\n```\n",
    "indented fences": " " * 500 + "```\n", "think in fences": "<think>```\n<think>\n```\n",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("start", ["", " " * 100_000 + "```\n", "`" * 100_000 + "\n"])
def test_a_long_text_of_marks_takes_seconds(piece: str, start: str) -> None:
    """Regular expressions with `.*?` between tags take hours here; a linear scan takes a second.

    The bound is far above what is measured, for slow machines, and far below a quadratic scan.
    """
    text = start + piece * (300_000 // len(piece))
    began = time.process_time()
    extract(text, prefill=PREFILL, entry_point="f")
    extract(text, prefill="```python\n", entry_point="f")
    is_well_formed(f"x</think><answer>{text}</answer>", PREFILL)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "code",
    [
        "(" * 150_000, "-" * 150_000 + "1", "a" + "**a" * 60_000, "a" + ".b" * 90_000,
        "f'{" * 60_000, "lambda:" * 20_000 + "1", "[" * 5_000 + "]" * 5_000, "\0",
        "x = '\ud800'", "x = 1\0", "if x:\n " * 20_000, "x = " + "1" * 10_000, "\\\n" * 90_000,
        "x = 1\n" * 50_000,
    ],
    ids=lambda code: ascii(code[:8]),
)  # fmt: skip
@pytest.mark.timeout(60)
def test_pathological_source_is_no_program_and_no_crash(code: str) -> None:
    """Nesting raises MemoryError or RecursionError, NUL bytes ValueError, from `ast.parse`."""
    assert not parses(code)


def test_a_warning_never_decides_whether_code_parses(recwarn: pytest.WarningsRecorder) -> None:
    """Under `-W error` the warning about the escape turns into a SyntaxError."""
    import warnings

    warnings.simplefilter("error")
    assert parses("x = '\\d'")
    assert not recwarn.list


def test_defined_names_are_those_of_the_module_level() -> None:
    tree = parse(
        "import a\nb, (c, *d) = 1, (2, 3)\ne: int\ng: int = 1\nh.i = j[0] = 2\n"
        "if x:\n    def k(): l = 1\nelse:\n    class m:\n        n = 1\n"
        "try:\n    o = 1\nexcept E:\n    p = 1\nmatch x:\n    case 1:\n        q = 1\n"
        "async def r(): pass\nwith s:\n    t = 1\n"
    )
    assert tree is not None
    assert defined_names(tree) == set("bcdgkmopqrt")


@settings(max_examples=50)
@given(st.text())
def test_parsing_never_raises(text: str) -> None:
    assert parses(text) in {True, False}
