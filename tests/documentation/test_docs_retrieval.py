"""Cutting documents into passages, and searching them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recode_eval.documentation.folders import Document
from recode_eval.documentation.passages import PASSAGE_TOKENS, cut
from recode_eval.documentation.retrieval import Index, words
from recode_eval.documentation.tokens import count_tokens
from recode_eval.errors import UsageError

LINES = st.lists(
    st.sampled_from(
        ["", "# One", "## Two ##", "Title", "=====", "---", "```", "~~~~", "    code", "text.",
         "word " * 80, "f(x, y=1)", "#no heading", "x" * 4000]
    )
    | st.text(max_size=30),
    max_size=40,
)  # fmt: skip


@given(LINES)
@example(["```", "# no heading", "", "x", "```", "# heading"])
def test_passages_hold_all_of_a_document_in_order_and_no_more(lines: list[str]) -> None:
    document = Document("a.md", "\n".join(lines))
    passages = cut(document)
    said = "".join("".join(one.text.split()) for one in passages)
    assert said == "".join(document.text.split())
    for one in passages:
        assert one.text.strip()
        assert count_tokens(one.text) <= max(PASSAGE_TOKENS, 1500)
        assert "\n" not in one.heading


def test_headings_of_both_forms_and_fences() -> None:
    text = (
        "Before.\n\n# Use\nOne.\n\n```\n# a comment\n\nx = 1\n```\n\nAPI\n===\n\nTwo.\n\n"
        "===\nOver\n===\nThree.\n"
    )
    assert [(p.heading, p.text) for p in cut(Document("a.md", text))] == [
        ("", "Before."),
        ("Use", "# Use\nOne.\n\n```\n# a comment\n\nx = 1\n```"),
        ("API", "API\n===\n\nTwo.\n\n==="),
        ("Over", "Over\n===\nThree."),
    ]


def test_long_sections_are_cut_at_blank_lines() -> None:
    paragraphs = [f"paragraph{i} " + "some words here " * 30 for i in range(6)]
    passages = cut(Document("a.md", "# Top\n\n" + "\n\n".join(paragraphs)))
    assert len(passages) == 2
    assert {one.heading for one in passages} == {"Top"}
    assert all(count_tokens(one.text) <= PASSAGE_TOKENS for one in passages)


DOCUMENTS = [
    Document("a.md", "# trapezoid\nnumpy.trapezoid integrates y.\n\n# other\nNothing of interest."),
    Document("b.md", "# loading\nnumpy.loadtxt reads a file."),
]


def test_a_search_finds_the_passage_of_a_name() -> None:
    [hit, *_] = Index(DOCUMENTS).search("Integrate with numpy.trapezoid", top=3, tokens=500)
    assert (hit.passage.path, hit.passage.heading) == ("a.md", "trapezoid")
    assert hit.text == "[a.md: trapezoid]\n# trapezoid\nnumpy.trapezoid integrates y."
    assert hit.tokens == count_tokens(hit.text)
    assert hit.score > 0


def test_a_search_keeps_to_its_limits() -> None:
    index = Index(DOCUMENTS)
    assert len(index.search("numpy file", top=1, tokens=500)) == 1
    assert index.search("numpy file", top=5, tokens=3) == []
    assert index.search("wholly unrelated zebra", top=5, tokens=500) == []
    assert index.search("", top=5, tokens=500) == []
    hits = index.search("numpy reads", top=5, tokens=30)
    assert sum(hit.tokens for hit in hits) <= 30


def test_ties_keep_the_order_of_the_folder() -> None:
    same = [Document(f"{name}.md", "the same words") for name in "abcdef"]
    index = Index(same)
    orders = {
        tuple(hit.passage.path for hit in index.search("the words", top=6, tokens=500))
        for _ in range(3)
    }
    assert orders == {("a.md", "b.md", "c.md", "d.md", "e.md", "f.md")}


@given(st.text(max_size=80))
def test_no_query_breaks_a_search(query: str) -> None:
    hits = Index(DOCUMENTS).search(query, top=2, tokens=100)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_documents_without_a_word_are_refused() -> None:
    with pytest.raises(UsageError, match="no word"):
        Index([Document("-", "... !!!")])


def test_names_count_as_a_whole_and_by_their_parts() -> None:
    assert words("np.linalg.solve(A)") == ["np.linalg.solve", "np", "linalg", "solve", "a"]
    assert words("_private __init__ ...") == ["private", "init__"]


def test_a_search_finds_the_same_whatever_the_hashes_of_the_process(tmp_path: Path) -> None:
    """Python's sets are in another order in every process; a run must be found again."""
    for name in "abcdefgh":
        (tmp_path / f"{name}.md").write_text(
            f"# {name}\nmany same words {name} numpy.{name} here\n"
        )
    program = (
        "import sys; from pathlib import Path\n"
        "from recode_eval.documentation.folders import read_folder\n"
        "from recode_eval.documentation.retrieval import Index\n"
        "found = Index(read_folder(Path(sys.argv[1])).found)\n"
        "print(found.search('same words numpy.c and b here, many g', top=8, tokens=900))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True,
            check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1
    assert "c.md" in said.pop()
