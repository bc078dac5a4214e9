"""The tables of the study, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validity.answers import KINDS
from validity.study import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BREAKDOWN = ("ES", "ES*", "EM*", "1 - stale_api", "new_api", "both")


def tables(about: Mapping[str, Any], results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of all tables."""
    yield (
        f"{about['date']}, {about['pairs']} pairs in {about['clusters']} clusters, "
        f"{about['graded']} of {about['answers']} answers graded ({about['tier']}, "
        f"seed {about['seed']}, {about['seconds']} s)"
    )
    yield f"libraries: {', '.join(about['libraries'])}"
    for name in ("bad_rows", "not_graded", "reference_does_not_pass", "tests_ended_otherwise"):
        yield f"{name.replace('_', ' ')}: {about[name] or 'none'}"
    yield from ("", *_kinds(results["kinds"]))
    for name, chosen in results["sets"].items():
        yield from ("", *_main(name, chosen))
    yield "\nAUC within the answers to a pair, by contrast (wrong / right)\n"
    yield from _breakdown("contrast", results["contrasts"], "within_auc")
    yield "\nAUC over all answers, by contrast (wrong / right)\n"
    yield from _breakdown("contrast", results["contrasts"], "auc")
    for figure, where in (("within_auc", "within pairs"), ("auc", "over all answers")):
        yield f"\nAUC {where}, by update type, without copies of the reference\n"
        yield from _breakdown("update type", results["update_types"], figure)
    yield from ("", *_confusions(results["confusions"]))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' if not place else '---:' for place in range(len(head)))} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _kinds(kinds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _table(
        ("kind", "what", "answers", "pass", "mean ES", "lowest", "highest"),
        [
            (
                entry["kind"],
                KINDS[entry["kind"]],
                str(entry["answers"]),
                f"{entry['passing'] / entry['answers']:.1%}",
                *(f"{entry[key]:.3f}" for key in ("mean_es", "lowest_es", "highest_es")),
            )
            for entry in kinds
            if entry["answers"]
        ],
    )


def _main(name: str, chosen: Mapping[str, Any]) -> Iterator[str]:
    counts = f"{chosen['answers']} answers to {chosen['pairs']} pairs, {chosen['passing']} pass"
    blindly = _estimate(chosen["any_passes"])
    yield f"{name}: {counts}; of a pair's answers, one drawn blindly passes: {blindly}\n"
    head = (
        "metric",
        "answers",
        "AUC",
        "AUC within pairs",
        "Spearman",
        "within",
        "tau-b",
        "within",
        "best passes",
    )
    rows = []
    for metric in METRICS:
        figures = chosen["metrics"][metric]
        if figures["answers"]:
            rows.append((
                metric,
                str(figures["answers"]),
                _estimate(figures["auc"]),
                _estimate(figures["within_auc"]),
                _number(figures["spearman"]),
                _estimate(figures["within_spearman"]),
                _number(figures["kendall"]),
                _estimate(figures["within_kendall"]),
                _estimate(figures["best_passes"]),
            ))  # fmt: skip
    yield from _table(head, rows)


def _breakdown(what: str, parts: Mapping[str, Any], figure: str) -> Iterator[str]:
    rows = [
        (
            name,
            f"{part['answers'] - part['passing']} / {part['passing']}",
            *(_estimate(part["metrics"][metric][figure]) for metric in _BREAKDOWN),
        )
        for name, part in parts.items()
    ]
    yield from _table((what, "wrong / right", *_BREAKDOWN), rows)


def _confusions(confusions: Mapping[str, Any]) -> Iterator[str]:
    for name, found in confusions.items():
        share = found["share"]
        yield f"{name}: {found['answers']} of {share['n']}, {_estimate(share)}"
        yield f"  by kind: {', '.join(f'{kind} {count}' for kind, count in found['kinds'].items())}"
        for example in found["examples"]:
            detail = f" ({example['detail']})" if example["detail"] else ""
            yield f"  {example['es']:.3f} {example['pair']}, {example['kind']}{detail}"


def _estimate(estimate: Mapping[str, Any]) -> str:
    if estimate["mean"] is None:
        return "-"
    if estimate["low"] is None:
        return f"{estimate['mean']:.2f}"
    return f"{estimate['mean']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
