"""The names of arms, the block around a text, and the rule that counts its tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.documentation.arms import Kind, arm_of, parse_arm
from recode_eval.documentation.block import framed, in_front
from recode_eval.documentation.tokens import count_tokens
from recode_eval.errors import UsageError
from recode_eval.models.base import Message, Prompt


def test_names_of_arms_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old/AGENTS.md").write_text("x")
    (tmp_path / "note").write_text("a file with the name of an arm")
    assert parse_arm("note").kind is Kind.NOTE
    assert parse_arm("./note").name == "file:note"
    assert parse_arm("old/AGENTS.md").name == "file:old/AGENTS.md"
    assert parse_arm("old").name == "folder:old"
    assert parse_arm("retrieved:old").name == "retrieved:old"
    assert parse_arm(f"{tmp_path}/old/AGENTS.md").name == "file:AGENTS.md"
    assert [parse_arm(name).is_block for name in ("none", "note", "mixed", "old")] == [
        False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("chnagelog", "Did you mean changelog?"),
        ("retrieved:", "is no folder"),
        ("retrieved:nowhere", "is no folder"),
        ("a\0b", "documentation arm"),
        ("x" * 5000, "documentation arm"),
        ("\x1b[31mred", "documentation arm"),
    ],
)
def test_what_is_no_arm_is_refused(given: str, part: str) -> None:
    with pytest.raises(UsageError, match=r".") as caught:
        parse_arm(given)
    assert part in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_the_arm_of_results() -> None:
    assert arm_of({"prompt": {"update_note": True}}) == "note"
    assert arm_of({"prompt": {"update_note": False, "docs": None}}) == "none"
    docs = {"arm": "mixed", "hash": "0" * 64}
    assert arm_of({"prompt": {"update_note": False, "docs": docs}}) == "mixed"


@given(st.text())
def test_a_text_cannot_end_its_block(text: str) -> None:
    block = framed(text)
    end = block.splitlines()[-1]
    assert end.startswith("</documentation")
    assert block.count(end) == 1
    begin = end.replace("/", "")
    assert block.split(f"{begin}\n", 1)[1] == f"{text}\n{end}"


def test_the_block_stands_before_the_last_user_message() -> None:
    prompt = Prompt(
        (Message("system", "s"), Message("user", "example"), Message("assistant", "a"),
         Message("user", "the task")), "prefill",
    )  # fmt: skip
    shown = in_front(prompt, "new in 2.0")
    assert [m.content for m in shown.messages[:3]] == ["s", "example", "a"]
    assert shown.messages[3].content == f"{framed('new in 2.0')}\n\nthe task"
    assert shown.prefill == "prefill"


@given(st.text(), st.text())
def test_tokens_are_counted_by_a_rule(one: str, two: str) -> None:
    assert count_tokens(f"{one} {two}") == count_tokens(one) + count_tokens(two)
    assert 0 <= count_tokens(one) <= len(one)
    assert (count_tokens(one) == 0) == (not one.strip() or one.isspace())
