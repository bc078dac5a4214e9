"""Lifts for people: a table of the arms, a sentence per question, tables by tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recode_eval.comparison.lift import cost_of, currency_of
from recode_eval.comparison.report import change_text, code, markdown_table
from recode_eval.comparison.sentences import p_text, sentence
from recode_eval.metrics import label, metric
from recode_eval.tables import print_table
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from recode_eval.comparison.differences import MetricDifference
    from recode_eval.comparison.lift import ArmRun, Effect, Lift

STALE: Final = "stale_api"
MOST_VALUES: Final = 15
"""Values of a tag up to which its table is printed unless it is asked for."""


def shown_tags(item: Lift, asked: Sequence[str] | None) -> list[str]:
    """Return the tags whose tables are printed: those asked for, or those of few values."""
    if asked is not None:
        return [tag for tag in item.tags if tag in asked]
    return [
        tag
        for tag in item.tags
        if len({g.value for x in item.effects for g in x.groups if g.tag == tag}) <= MOST_VALUES
    ]


def _setting(item: Lift, safe: Callable[[str], str]) -> str:
    """Return what tells the lifts of one model on one task apart."""
    words = item.conversation
    return f"{item.sampling}, {safe(words)}" if words else item.sampling


def headings(item: Lift) -> list[str]:
    """Return the headings of the table of arms."""
    first = item.effects[0].primary.metric
    references = _references(item)
    return [
        "arm",
        "problems",
        label(first),
        *(f"against {name}" for name in references),
        *(["stale API used"] if _has_stale(item) else []),
        "prompt tokens",
        "answer tokens",
        *(["cost per solved"] if _has_cost(item) else []),
    ]


def _references(item: Lift) -> list[str]:
    return list(dict.fromkeys(effect.reference for effect in item.effects))


def arm_rows(item: Lift) -> list[list[str]]:
    """Return a row per arm, as `headings` say; the first cell is the arm's name, unsafe."""
    first = item.effects[0].primary.metric
    references = _references(item)
    rows = []
    for arm in item.arms:
        row = [arm.name, _problems(arm), _estimate(arm, first)]
        row += [_against(item, arm.name, name) for name in references]
        if _has_stale(item):
            row.append(_estimate(arm, STALE))
        row += [_tokens(arm.prompt_tokens), _tokens(arm.completion_tokens)]
        if _has_cost(item):
            cost = cost_of(arm.run, "per_solved")
            currency = one_line(currency_of(arm.run) or "", 8)
            row.append("-" if cost is None else f"{cost:.4g} {currency}".rstrip())
        rows.append(row)
    return rows


def _problems(arm: ArmRun) -> str:
    count = str(arm.run.results.counts.problems)
    return f"{count} ({arm.left_out} left out)" if arm.left_out else count


def _estimate(arm: ArmRun, name: str) -> str:
    found = arm.run.results.metrics.get(name)
    return "-" if found is None else metric(name).show(found.value)


def _against(item: Lift, arm: str, reference: str) -> str:
    """Return the difference of the primary metric, with its adjusted p-value."""
    for effect in item.effects:
        if (effect.arm, effect.reference) == (arm, reference):
            found = effect.primary
            p_value = "" if found.p_holm is None else f" p {p_text(found.p_holm)}"
            return f"{change_text(found)}{p_value}"
    return "-"


def _tokens(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _has_stale(item: Lift) -> bool:
    return any(arm.run.results.metrics.get(STALE) is not None for arm in item.arms)


def _has_cost(item: Lift) -> bool:
    return any(cost_of(arm.run, "per_solved") is not None for arm in item.arms)


def sentences(item: Lift, safe: Callable[[str], str]) -> Iterator[str]:
    """Yield what was found: the primary metric of every effect, then the second question."""
    for effect in item.effects:
        yield _sentence(effect, effect.primary, item, safe)
    for effect in item.effects:
        second = effect.metric(STALE)
        if second is not None and effect.reference == item.effects[0].reference:
            yield f"Does it stop the old API? {_sentence(effect, second, item, safe)}"


def _sentence(
    effect: Effect, difference: MetricDifference, item: Lift, safe: Callable[[str], str]
) -> str:
    return sentence(difference, safe(effect.reference), safe(effect.arm), safe(item.task))


def cautions(item: Lift) -> list[str]:
    """Return the cautions of all comparisons, each once with what it is about; hostile text."""
    about: dict[str, list[str]] = {}
    for effect in item.effects:
        for text in effect.comparison.cautions:
            about.setdefault(text, []).append(f"{effect.arm} against {effect.reference}")
    return [
        text if len(pairs) == len(item.effects) > 1 else f"{', '.join(pairs)}: {text}"
        for text, pairs in about.items()
    ]


def group_table(item: Lift, tag: str) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of the effects by the values of a tag; cells are unsafe.

    Only effects against the first reference are shown: the table would be too wide otherwise.
    """
    reference = item.effects[0].reference
    effects = [effect for effect in item.effects if effect.reference == reference]
    values: dict[str, dict[str, MetricDifference]] = {}
    for effect in effects:
        for group in effect.groups:
            if group.tag == tag:
                values.setdefault(group.value, {})[effect.arm] = group.difference
    rows = []
    for value, found in sorted(values.items()):
        counts = dict.fromkeys(f"{d.estimate.n} in {d.estimate.clusters}" for d in found.values())
        cells = [
            change_text(found[effect.arm]) if effect.arm in found else "-" for effect in effects
        ]
        rows.append([value or "(none)", ", ".join(counts), *cells])
    return [tag.replace("_", " "), "N", *(f"{e.arm} - {reference}" for e in effects)], rows


def print_lift(console: Console, item: Lift, tags: Sequence[str] | None = None) -> None:
    """Print one model on one task."""

    def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        cells = [[one_line(cell, 120) for cell in row] for row in rows]
        print_table(console, [one_line(name, 60) for name in names], cells)

    console.print(
        f"{one_line(item.model, 60)} on {one_line(item.task, 60)}, {_setting(item, str)}",
        style="bold",
        soft_wrap=True,
    )
    for text in cautions(item):
        console.print(f"caution: {one_line(text)}", style="yellow", soft_wrap=True)
    table(headings(item), arm_rows(item))
    for text in sentences(item, lambda name: one_line(name, 60)):
        console.print(text, soft_wrap=True)
    for tag in shown_tags(item, tags):
        table(*group_table(item, tag))


def lift_markdown(item: Lift, tags: Sequence[str] | None = None) -> str:
    """Return a section of Markdown that hostile names cannot break."""
    parts = [f"### {code(item.model)} on {code(item.task)}, {_setting(item, code)}\n\n"]
    parts += [f"- **Caution**: {code(text)}\n" for text in cautions(item)]
    parts += ["\n"] * (len(parts) > 1)
    rows = [[code(first), *rest] for first, *rest in arm_rows(item)]
    parts += [markdown_table(headings(item), rows), "\n"]
    parts += [f"- {text}\n" for text in sentences(item, code)]
    for tag in shown_tags(item, tags):
        names, found = group_table(item, tag)
        rows = [[code(first), *rest] for first, *rest in found]
        heads = [code(names[0]), names[1], *map(code, names[2:])]
        parts += ["\n", markdown_table(heads, rows)]
    return "".join([*parts, "\n"])
