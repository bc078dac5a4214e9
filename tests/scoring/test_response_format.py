"""The think/answer form, by hand."""

from __future__ import annotations

import pytest

from recode_eval.scoring import is_well_formed

PREFILL = "Let me solve this step by step.\n<think>"
BLOCK = "```python\nx = 1\n```"
ANSWER = f"<answer>\n{BLOCK}\n</answer>"


@pytest.mark.parametrize(
    "completion",
    [
        f"hm</think>{ANSWER}",
        f"\nhm\n</think>\n\n{ANSWER}\n",
        f"hm</think><answer>{BLOCK}</answer>",
        f"a draft:\n{BLOCK}\n</think>\n{ANSWER}",
        f"hm</think>\n{ANSWER}".replace("\n", "\r\n"),
        "hm</think><answer>~~~~py\n```\n~~~~</answer>",
    ],
)
def test_the_form(completion: str) -> None:
    assert is_well_formed(completion, PREFILL)
    assert is_well_formed("<think>" + completion)
    assert not is_well_formed(completion)


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "</think><answer></answer>",  # the public reward code pays for empty tags
        f"</think>{ANSWER}",
        f" \n</think>{ANSWER}",
        "hm</think><answer>\n```python\n```\n</answer>",
        "hm</think><answer>\n```python\n \n```\n</answer>",
        "hm</think><answer>x = 1</answer>",
        "hm</think><answer>\n```\nx = 1\n```\n</answer>",
        "hm</think><answer>\n```js\nx = 1\n```\n</answer>",
        "hm</think><answer>\n```python\nx = 1\n</answer>",
        f"hm</think><answer>\n{BLOCK}\n{BLOCK}\n</answer>",
        f"hm</think><answer>\nHere:\n{BLOCK}\n</answer>",
        f"hm</think>\nSo:\n{ANSWER}",
        f"hm</think>\n{ANSWER}\nDone.",
        f"hm</think>\n{ANSWER}\n{ANSWER}",
        f"hm</think>\n<answer>{ANSWER}",
        f"hm\n{ANSWER}",
        f"hm</think>\n<think>more</think>{ANSWER}",
        f"hm</think></think>{ANSWER}",
        f"<answer></think>{BLOCK}</answer>",
        f"{ANSWER}</think>",
        f"hm</think>\n<answer>\n{BLOCK}\n",
    ],
)
def test_not_the_form(completion: str) -> None:
    assert not is_well_formed(completion, PREFILL)
    assert not is_well_formed("<think>" + completion)
