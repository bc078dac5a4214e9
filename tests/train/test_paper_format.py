"""The paper's format reward: what it pays, and that it pays whatever ours pays."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from training_pairs import PREFILL, turn

from recode_train.paper_format import format_paper_reward
from recode_train.rewards import format_reward

FENCE = "```"
PIECES = st.sampled_from([
    "<think>", "</think>", "<answer>", "</answer>", "```python\n", "\n```", "x = 1", "hm", " ",
    "\n", "<", "\u2003", "```",
])  # fmt: skip
TURNS = st.lists(PIECES, max_size=14).map("".join)


@pytest.mark.parametrize(
    ("completion", "paid"),
    [
        (turn("x = 1"), True),
        ("hm</think><answer>Here it is:\n```python\nx = 1\n```</answer>", True),
        (f"hm</think>\n<answer>\n{FENCE}\nx = 1\n{FENCE}\n</answer>", True),
        ("hm</think><answer>```python\nx\n```\n```python\ny\n```</answer>\n", True),
        (turn("x = 1") + "<answer>again</answer>", True),
        ("</think><answer></answer>", True),
        (turn("x = 1") + "more", False),
        ("hm</think>so<answer>x</answer>", False),
        ("hm<think>hm</think><answer>x</answer>", False),
        ("<answer>x</answer>", False),
        ("hm</think><answer>x", False),
        ("", False),
    ],
)
def test_by_hand(completion: str, paid: bool) -> None:
    """Three forms that the authors' code pays and ours did not made reproductions differ."""
    assert format_paper_reward(completion, PREFILL) == (1.0 if paid else -1.0)
    if not completion.startswith("<"):
        assert format_paper_reward(f"<think>{completion}", "") == (1.0 if paid else -1.0)


def test_a_turn_that_nobody_opened_must_open_its_thoughts() -> None:
    assert format_paper_reward(turn("x = 1"), "") == -1.0


@given(TURNS)
@example("</think>\u2003<answer></answer>\n\n")
def test_it_is_this_pattern(completion: str) -> None:
    """Thoughts without a tag of thoughts, white space, and anything between answer tags."""
    pattern = r"(?:(?!</?think>).)*</think>\s*<answer>.*</answer>\s*"
    wanted = re.fullmatch(pattern, completion, re.DOTALL) is not None
    assert format_paper_reward(completion, PREFILL) == (1.0 if wanted else -1.0)


@given(TURNS)
def test_what_ours_pays_it_pays(completion: str) -> None:
    for prefill in (PREFILL, ""):
        if format_reward(completion, prefill) == 1.0:
            assert format_paper_reward(completion, prefill) == 1.0


@given(
    st.text().filter(lambda t: "<think>" not in t and "</think>" not in t),
    st.text(alphabet=" \t\n\r"),
    st.text(),
)
def test_whatever_stands_in_the_answer(thoughts: str, between: str, answer: str) -> None:
    whole = f"{thoughts}</think>{between}<answer>{answer}</answer>"
    assert format_paper_reward(whole, "<think>") == 1.0
    assert format_paper_reward(whole.replace("<answer>", "<anwser>", 1), "<think>") == -1.0
