"""The format reward as the code published with the paper computes it, for reproductions.

Our own `format` asks for more: see `docs/training-presets.md` for where the two differ.
"""

from __future__ import annotations

from recode_eval.scoring.extraction import ANSWER, END_ANSWER, END_THINK, THINK


def format_paper_reward(completion: str, prefill: str) -> float:
    r"""Return 1.0 if the turn is thoughts, white space, and text within answer tags, else -1.0.

    The turn is read from the `<think>` that `prefill` opens (without one there, that of the
    completion). The thoughts end at the first `</think>` and hold no other `<think>`; the rest
    begins with `<answer>` and ends with `</answer>`. What stands between these two is not looked
    at, and nothing need stand there. Source: `src/DAPO/reward.py` of github.com/zjunlp/ReCode.

    >>> format_paper_reward("</think><answer>Here:\n```\nx = 1\n```\n</answer>\n", "<think>")
    1.0
    >>> format_paper_reward("x = 1", "<think>")
    -1.0
    """
    turn = completion
    if THINK not in prefill:
        if not completion.startswith(THINK):
            return -1.0
        turn = completion.removeprefix(THINK)
    thoughts, end, rest = turn.partition(END_THINK)
    answer = rest.strip()
    fits = (
        bool(end)
        and THINK not in thoughts
        and answer.startswith(ANSWER)
        and answer.endswith(END_ANSWER)
    )
    return 1.0 if fits else -1.0
