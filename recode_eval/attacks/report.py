"""Showing how tiers withstood the attacks: a table for people, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.languages import get_language
from recode_eval.tables import borderless
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from recode_eval.attacks.catalog import Attack
    from recode_eval.attacks.tiers import TierOutcome


def print_outcomes(console: Console, outcomes: Sequence[TierOutcome], isolation: str) -> None:
    """Print contained/total per class and tier, then every fault."""
    tested = [outcome for outcome in outcomes if not outcome.unavailable]
    if tested:
        table = borderless(title=f"attacks that were contained, isolation {isolation}")
        table.add_column("class of attacks")
        for outcome in tested:
            table.add_column(outcome.tier, justify="right")
        results = [result for outcome in tested for result in outcome.results]
        kinds = sorted({result.attack.kind for result in results})
        for kind in kinds:
            table.add_row(kind, *(_share(outcome, kind=kind) for outcome in tested))
        table.add_section()
        languages = list(dict.fromkeys(result.attack.language for result in results))
        for language in languages if len(languages) > 1 else []:
            shares = (_share(outcome, language=language) for outcome in tested)
            table.add_row(get_language(language).title, *shares)
        table.add_row("all", *(_share(outcome) for outcome in tested))
        table.add_row("left behind", *(str(len(outcome.left)) for outcome in tested))
        table.add_row("seconds", *(f"{outcome.seconds:.0f}" for outcome in tested))
        console.print(table)
    for outcome in outcomes:
        if outcome.unavailable:
            console.print(f"{outcome.tier}: not tested: {outcome.unavailable}", soft_wrap=True)
        for language, reason in outcome.untested.items():
            console.print(f"{outcome.tier}: {language}: not tested: {reason}", soft_wrap=True)
        for result in outcome.failures:
            console.print(
                f"{outcome.tier}: {result.attack.name}: {result.outcome}: {result.explanation}",
                soft_wrap=True,
            )
        for thing in outcome.left:
            console.print(f"{outcome.tier}: left over: {one_line(thing)}", soft_wrap=True)


def _share(outcome: TierOutcome, *, kind: str = "", language: str = "") -> str:
    results = [
        result
        for result in outcome.results
        if kind in {"", result.attack.kind} and language in {"", result.attack.language}
    ]
    return f"{sum(result.contained for result in results)}/{len(results)}"


def print_attacks(console: Console, attacks: Sequence[Attack]) -> None:
    """Print each attack: its name, how it must end, its language, and what it tries."""
    for attack in attacks:
        title = get_language(attack.language).title
        console.print(
            f"{one_line(attack.name)} ({title}, must be {attack.expect}): "
            f"{one_line(attack.description)}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )


def described(attack: Attack) -> dict[str, str]:
    """The same as plain values."""
    return {
        "name": attack.name,
        "language": attack.language,
        "expect": str(attack.expect),
        "description": attack.description,
    }


def as_json(outcomes: Sequence[TierOutcome]) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "passed": any(not o.unavailable for o in outcomes)
        and all(o.passed for o in outcomes if not o.unavailable),
        "tiers": [
            {
                "tier": outcome.tier,
                "available": not outcome.unavailable,
                "reason": outcome.unavailable,
                "untested": dict(outcome.untested),
                "seconds": round(outcome.seconds, 1),
                "left": list(outcome.left),
                "attacks": [
                    {
                        "name": result.attack.name,
                        "language": result.attack.language,
                        "expect": str(result.attack.expect),
                        "outcome": str(result.outcome),
                        "explanation": result.explanation,
                        "seconds": round(result.seconds, 3),
                    }
                    for result in outcome.results
                ],
            }
            for outcome in outcomes
        ],
    }
