"""May the candidate ship? The gate's verdict and its policy in words, for terminal, CI and site.

One source of both: what a release engineer reads on the site is what the command said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.gating.rule import Verdict
from recode_eval.metrics import metric
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_eval.gating.decision import Decision
    from recode_eval.schemas.verdict import PolicyContent, VerdictFile

_MOST: Final = 3
"""Checks or margins that a sentence names."""
_DEFAULT: Final = "default"
_DIGITS: Final = 10
"""Of a share in percent: 100 * 0.07 is not quite 7."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric of one task, as a sentence needs it; names are hostile text."""

    task: str
    metric: str
    verdict: str
    margin: float
    """Tolerated drop, in the metric's unit."""
    higher_is_better: bool
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Shipment:
    """A verdict of the gate, from a decision or from a file."""

    verdict: str
    candidates: tuple[str, ...]
    baselines: tuple[str, ...]
    findings: tuple[Finding, ...]


def of_decision(decision: Decision) -> Shipment:
    """Return what a decision just made says."""
    findings = []
    for check in decision.checks:
        item, found = check.difference, check.difference.estimate
        findings.append(
            Finding(check.task, item.metric, str(check.verdict), check.margin,
                    item.higher_is_better, found.mean, found.low, found.high)
        )  # fmt: skip
    return Shipment(
        str(decision.verdict),
        tuple(dict.fromkeys(item.candidate.model for item in decision.compared)),
        tuple(dict.fromkeys(item.baseline.model for item in decision.compared)),
        tuple(findings),
    )


def of_file(content: VerdictFile) -> Shipment:
    """Return what the content of a verdict.json says."""
    findings = [
        Finding(check.task, check.metric, check.verdict, check.margin, check.higher_is_better,
                check.difference, check.low, check.high)
        for check in content.checks
    ]  # fmt: skip
    return Shipment(
        content.verdict,
        tuple(dict.fromkeys(task.candidate.model for task in content.tasks)),
        tuple(dict.fromkeys(task.baseline.model for task in content.tasks)),
        tuple(findings),
    )


def plain_name(name: str) -> str:
    """Return a name on one line, spelt out and cut."""
    return one_line(name, 60)


def shipping_sentence(shipment: Shipment, safe: Callable[[str], str] = plain_name) -> str:
    """Return what a release engineer needs to know, in a sentence; `safe` makes names fit to show.

    >>> check = Finding("arena", "pass@1", "pass", 0.03, True, 0.01, -0.012, 0.03)
    >>> shipping_sentence(Shipment("pass", ("new",), ("old",), (check,)))
    'new may ship: against old, a drop of more than 3.0 points in pass@1 on arena is excluded.'
    """
    candidate = ", ".join(map(safe, shipment.candidates)) or "the candidate"
    against = ", ".join(map(safe, shipment.baselines)) or "the baseline"
    decisive = [item for item in shipment.findings if item.verdict == shipment.verdict]
    many = len(decisive) > 1
    match shipment.verdict:
        case Verdict.PASS:
            about = _listed([_tolerated(item, safe) for item in decisive])
            return f"{candidate} may ship: against {against}, {about} {_is(many)} excluded."
        case Verdict.REGRESS:
            about = _listed([_change(item, safe) for item in decisive])
            return f"{candidate} may not ship: against {against}, {about}."
        case Verdict.INCONCLUSIVE:
            about = _listed([_tolerated(item, safe) for item in decisive])
            return (
                f"Whether {candidate} may ship is open: against {against}, {about} {_is(many)} "
                "neither excluded nor shown."
            )
    return f"No verdict on {candidate}: its run cannot be compared with that of {against}."


def _is(many: bool) -> str:
    return "are" if many else "is"


def _listed(parts: Sequence[str]) -> str:
    """Return `a, b and c`, at most `_MOST` of them."""
    if not parts:
        return "what the policy names"
    shown = list(parts[:_MOST])
    if len(parts) > _MOST:
        shown.append(f"{len(parts) - _MOST} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _way(higher_is_better: bool) -> str:
    return "drop" if higher_is_better else "rise"


def _place(item: Finding, safe: Callable[[str], str]) -> str:
    return f"{safe(metric(item.metric).heading)} on {safe(item.task)}"


def _amount(name: str, value: float) -> str:
    shown = metric(name)
    return f"{shown.show(value)}{' points' if shown.scale == 100 else ''}"


def _tolerated(item: Finding, safe: Callable[[str], str]) -> str:
    amount = _amount(item.metric, item.margin)
    return f"a {_way(item.higher_is_better)} of more than {amount} in {_place(item, safe)}"


def _change(item: Finding, safe: Callable[[str], str]) -> str:
    shown = metric(item.metric)
    if item.difference is None:
        return f"{_place(item, safe)} fell"
    interval = shown.show_interval(item.low, item.high, sign=True)
    change = f"{shown.show(item.difference, sign=True)} {interval}".rstrip()
    return f"{_place(item, safe)} changed by {change}"


def policy_words(
    policy: PolicyContent,
    tasks: Iterable[str],
    *,
    sampled: bool = False,
    safe: Callable[[str], str] = plain_name,
) -> tuple[str, ...]:
    """Return the sentences that say what a policy tolerates on these tasks, and how surely.

    `sampled`: the gate drew the candidate's samples itself.
    """
    level = policy.alpha / 2 if policy.rerun else policy.alpha
    found = [_margin_words(policy.margins, tuple(tasks), safe)]
    found.append(
        f"An equally good candidate is called worse in at most {_percent(policy.alpha)} of all "
        f"gates; intervals are those of {_percent(1 - 2 * level)}."
    )
    if policy.rerun:
        found.append("One rerun of both sides may follow an inconclusive verdict.")
    if sampled and policy.sequential:
        found.append("Sampling stops as soon as the verdict is certain.")
    found.append(
        f"Runs with more than {_percent(policy.max_unscored)} of their samples unscored, or fewer "
        f"than {policy.min_samples} samples per problem, are not compared."
    )
    return tuple(found)


def _percent(share: float) -> str:
    return f"{round(100 * share, _DIGITS):g} %"


def _margin_words(
    margins: Mapping[str, Mapping[str, Any]], tasks: Sequence[str], safe: Callable[[str], str]
) -> str:
    places: dict[tuple[str, float], list[str]] = {}
    for task in tasks:
        for name, points in margins.get(task, margins.get(_DEFAULT, {})).items():
            places.setdefault((name, points), []).append(task)
    parts = [
        f"a {_way(metric(name).higher_is_better)} of up to {_amount(name, points / 100)} in "
        f"{safe(metric(name).heading)} on {_listed([safe(task) for task in where])}"
        for (name, points), where in places.items()
    ]
    if not parts:
        return "The policy names no metric for these tasks."
    return f"Tolerated: {_listed(parts)}."
