"""One plain sentence per check of a gate, fit to be cited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.comparison.headline import Headline, headline
from recode_eval.comparison.sentences import basis, interval_words, p_near
from recode_eval.gating.rule import IMPROVED, Verdict
from recode_eval.metrics import metric

if TYPE_CHECKING:
    from recode_eval.gating.decision import GateCheck


def check_sentence(check: GateCheck, baseline: str, candidate: str, task: str, level: float) -> str:
    """Return what a check says, with difference, interval, margin, p-value and basis.

    The names are those to use, safe to show; `level` is the one-sided level of a regression.
    """
    item, found = check.difference, check.difference.estimate
    shown = metric(item.metric)
    unit = " points" if shown.scale == 100 else ""
    margin = f"{shown.show(check.margin)}{unit}"
    where = f"{shown.label} on {task}"
    if found.mean is None or found.low is None or found.high is None:
        return f"Nothing can be said of {candidate} in {where}: {found.method} ({basis(item)})."
    interval = interval_words(item, found.low, found.high, sign=True)
    facts = (
        f"difference {shown.show(found.mean, sign=True)}{unit} ({interval}; {basis(item)}; "
        f"margin {margin})"
    )
    if check.verdict is Verdict.REGRESS:
        p_text = p_near(check.p_drop_holm, level)
        worse = headline(item) is Headline.WORSE
        said = "is worse than" if worse else "drops, by the one-sided test, against"
        return f"{candidate} {said} {baseline} in {where} (one-sided p {p_text}, Holm): {facts}."
    if check.verdict is Verdict.PASS:
        if check.note == IMPROVED:
            return f"{candidate} is better than {baseline} in {where}: {facts}."
        return f"{candidate} is not {margin} worse than {baseline} in {where}: {facts}."
    note = f", {check.note}" if check.note else ""
    return (
        f"Whether {candidate} is {margin} worse than {baseline} in {where} stays open{note}: "
        f"{facts}."
    )
