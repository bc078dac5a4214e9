"""Say in one sentence what a comparison found in its primary metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.comparison.pooling import Change
from recode_eval.comparison.report import code
from recode_eval.metrics import metric as metric_of
from recode_train.comparing.arms import BASE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def verdict(content: Mapping[str, Any]) -> str:
    """Return the sentence for the first task of a comparison's content; '' without values.

    It names the best arm, those that it beats by the pair's own test, with the p-value adjusted for
    all pairs beside it, and those from which it cannot be told apart.
    """
    deciding = [item for item in content["differences"] if item["primary"]]
    if not deciding:
        return ""
    task, sampling, metric = (deciding[0][key] for key in ("task", "sampling", "metric"))
    shown = metric_of(metric)
    found = [
        item
        for item in content["values"]
        if (item["task"], item["sampling"], item["metric"]) == (task, sampling, metric)
        and item["estimate"] is not None
    ]
    values = {item["arm"]: item["estimate"]["value"] for item in found}
    if len(values) < 2:
        return ""
    sign = 1 if shown.higher_is_better else -1
    best = max(values, key=lambda arm: sign * values[arm])
    above: list[str] = []
    same: list[str] = []
    for item in deciding:
        pair = {item["arm"], item["reference"]}
        if item["task"] != task or best not in pair or item["change"] is None:
            continue
        change = Change(**item["change"])
        [other] = pair - {best}
        direction = sign if item["arm"] == best else -sign
        wins = change.verdict == ("up" if direction > 0 else "down")
        (above if wins else same).append(_against(other, change, direction * sign, metric))
    parts = [f"better than {_listed(above)}"] if above else []
    parts += [f"not distinguishable from {_listed(same)}"] if same else []
    trained = {item["arm"]: len(item["seeds"]) for item in found if item["arm"] != BASE}
    about = _about([arm for arm, count in trained.items() if count == 1], len(trained))
    place = "highest" if shown.higher_is_better else "lowest"
    return (
        f"In {shown.label} on {code(task)} ({sampling}), {code(best)} is {place} with "
        f"{shown.show(values[best])}: {', and '.join(parts)}{about}."
    )


def _against(other: str, change: Change, sign: int, metric: str) -> str:
    shown = metric_of(metric)
    ends = [end for end in (change.low, change.high) if end is not None]
    low, high = sorted(sign * end for end in ends) if len(ends) == 2 else (None, None)
    interval = shown.show_interval(low, high, sign=True)
    value = f"{shown.show(sign * change.value, sign=True)} {interval}".rstrip()
    return f"{code(other)} ({value}, {change.p_words})"


def _about(single: Sequence[str], arms: int) -> str:
    """Return what is to be added where arms have a single training."""
    if not single:
        return ""
    if len(single) == arms:
        return "; with one training an arm, this is about these trainings, not about the methods"
    return (
        f"; with one training of {_listed([code(arm) for arm in single])}, this is about that "
        "training there, not about the method"
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
