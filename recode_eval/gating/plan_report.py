"""A plan for people: the table on the terminal, and a chart as SVG."""

from __future__ import annotations

import math
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any, Final

from recode_eval.gating.plans import chance_text, margin_text
from recode_eval.stats.planning import TARGET, pass_chance
from recode_eval.tables import print_table
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from recode_eval.gating.plans import Planned

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 400, 60, 40, 130, 50
_POINTS: Final = 32
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_DASHES: Final = ("", "6 3", "2 3")


def print_plan(console: Console, content: Mapping[str, Any]) -> None:
    """Print the table and what it means."""
    task = "" if content["task"] is None else f"{one_line(content['task'], 60)}: "
    console.print(
        f"{task}{content['problems']} problems in {content['clusters']} clusters; a drop of "
        f"{_points(content['margin'])} points is tolerated, alpha {100 * content['alpha']:g} %. "
        f"Variances: {content['source']}.",
        soft_wrap=True,
    )
    headings = (
        "samples", "standard error", "an equal model passes",
        f"a loss of {_points(content['loss'])} is a regress",
        f"margin for {100 * content['target']:.0f} %",
        f"problems for {100 * content['target']:.0f} %",
    )  # fmt: skip
    rows = [
        [
            "any number" if row["n"] is None else str(row["n"]),
            f"{100 * row['standard_error']:.2f}",
            chance_text(row["pass_if_equal"]),
            f"{100 * row['regress_if_worse']:.0f} %",
            margin_text(row["margin_for_target"]),
            "-" if row["problems_for_target"] is None else str(row["problems_for_target"]),
        ]
        for row in content["samples"]
    ]
    print_table(console, headings, rows, left=())
    for text in _remarks(content):
        console.print(text, soft_wrap=True)


def _remarks(content: Mapping[str, Any]) -> list[str]:
    texts = [content["advice"]]
    texts.append(
        f"The smallest margin that {content['clusters']} clusters can decide: "
        f"{_points(content['smallest_margin'])} points (1 - alpha^(1/{content['clusters']}))."
    )
    enough = content["enough_samples"]
    if enough is not None:
        texts.append(
            f"From {enough} samples per problem on, sampling is less than a tenth of the variance; "
            "the rest is that of the problems, and more samples hardly help."
        )
    if (seeds := content["seeds"]) is not None:
        spread = f"trainings of one method differ by {_points(seeds['seed_sd'])} points (SD)"
        found = "no number of trainings finds it; more problems would"
        if seeds["seeds"] is not None:
            found = f"{seeds['seeds']} trainings per method find it in 8 cases of 10"
        texts.append(
            f"A difference of {_points(content['loss'])} points between two methods, where "
            f"{spread} and each is evaluated with {seeds['n']} samples: {found}."
        )
    return texts


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def chart(planned: Planned, samples: Sequence[int]) -> str:
    """Return an SVG: how often an equally good model passes, by margin and samples."""
    shown: list[float] = [*sorted(samples)[: len(_COLOURS) - 1], math.inf]
    last = min(1.0, 2.5 * planned.rule.margin)
    margins = [last * (i + 1) / _POINTS for i in range(_POINTS)]
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            'role="img" font-family="sans-serif" font-size="12">'
        ),
        f"<title>{escape(_title(planned))}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="13">{escape(_title(planned))}</text>',
    ]
    for tenth in range(0, 11, 2):
        y = _down(tenth / 10)
        parts.append(
            f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{10 * tenth} %</text>'
        )
    for step in range(6):
        margin = last * step / 5
        parts.append(
            f'<text x="{_across(margin, last)}" y="{_HEIGHT - _BOTTOM + 18}" '
            f'text-anchor="middle">{_points(margin)}</text>'
        )
    parts.append(
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">margin, points (dotted: the one planned; and '
        f"{100 * TARGET:.0f} %)</text>"
    )
    here, goal = _across(planned.rule.margin, last), _down(TARGET)
    parts.append(
        f'<path d="M{here} {_TOP}V{_HEIGHT - _BOTTOM}M{_LEFT} {goal}H{_WIDTH - _RIGHT}" '
        'stroke="#555" stroke-dasharray="1 3" fill="none"/>'
    )
    for index, n in enumerate(shown):
        chances = [
            pass_chance(planned.design, planned.variation, replace(planned.rule, margin=m), n)
            for m in margins
        ]
        path = " ".join(
            f"{_across(m, last)},{_down(c)}" for m, c in zip(margins, chances, strict=True)
        )
        colour, dash = _COLOURS[index % len(_COLOURS)], _DASHES[index % len(_DASHES)]
        label = "any number" if math.isinf(n) else f"{n:g} samples"
        y = _TOP + 14 + 20 * index
        x = _WIDTH - _RIGHT + 10
        line = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}" fill="none"'
        parts.append(f'<polyline points="{path}" {line}/>')
        parts.append(f'<path d="M{x} {y - 4}h24" {line}/><text x="{x + 30}" y="{y}">{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _title(planned: Planned) -> str:
    name = "" if planned.task is None else f"{one_line(planned.task, 40)}: "
    return (
        f"{name}an equally good model passes ({planned.design.problems} problems, "
        f"{planned.design.clusters} clusters)"
    )


def _across(margin: float, last: float) -> float:
    return round(_LEFT + margin / last * (_WIDTH - _LEFT - _RIGHT), 1)


def _down(share: float) -> float:
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)
