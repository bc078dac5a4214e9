"""Charts as SVG: made at build time, coloured by the page's style sheet, with alternative text.

No style attributes and no scripts, so that the page's content security policy holds for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from recode_eval.leaderboard.text import points, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _MARGIN, _ROW, _TOP, _BOTTOM = 520, 32, 42, 4, 34
_BELOW_LABEL = 22
"""From a row's top to where its label has ended, descenders and all."""
LONGEST_LABEL = 40
"""Characters of a row's label; the rest is cut off."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a dot plot: a share from 0 to 1 with its interval, if it has one."""

    label: str
    value: float
    low: float | None
    high: float | None
    ranked: bool = True
    bound: bool = False
    """All values were equal: the ends are a bound, not an interval."""


def dot_plot(dots: Sequence[Dot], title: str, identifier: str) -> Markup:
    """Return an SVG with a row per dot, 0 to 100 %; `identifier` must be unique on its page."""
    height = _TOP + _ROW * len(dots) + _BOTTOM
    parts = [
        Markup(
            '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{i}-t {i}-d">'
            '<title id="{i}-t">{title}</title><desc id="{i}-d">{text}</desc>'
        ).format(w=_WIDTH, h=height, i=identifier, title=shown(title), text=describe(dots))
    ]
    bottom = _TOP + _ROW * len(dots)
    for percent in (0, 25, 50, 75, 100):
        x = _x(percent / 100)
        parts.append(
            Markup(
                '<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
                '<text class="tick" x="{x}" y="{y}" text-anchor="middle">{p} %</text>'
            ).format(x=x, top=_TOP, bottom=bottom, y=bottom + 20, p=percent)
        )
    parts += [_row(dot, _TOP + _ROW * index) for index, dot in enumerate(dots)]
    return Markup("").join([*parts, Markup("</svg>")])


def describe(dots: Sequence[Dot]) -> str:
    """Return the chart's content in words, for those who cannot see it."""
    return "; ".join(f"{shown(dot.label)}: {_words(dot)}" for dot in dots)


def _words(dot: Dot) -> str:
    value = f"{100 * dot.value:.1f} %"
    if dot.low is None or dot.high is None:
        interval = "no interval"
    else:
        word = "all equal, bound" if dot.bound else "interval"
        interval = f"{word} {100 * dot.low:.1f} to {100 * dot.high:.1f} %"
    return f"{value}, {interval}{'' if dot.ranked else ', not ranked'}"


def _row(dot: Dot, top: float) -> Markup:
    ends = None if dot.low is None or dot.high is None else (_x(dot.low), _x(dot.high))
    kind = "ranked" if dot.ranked else "unranked"
    return Markup("").join(_marks(dot.label, _x(dot.value), ends, top, kind))


def _marks(
    label: str, place: str, ends: tuple[str, str] | None, top: float, kind: str
) -> list[Markup]:
    """Draw the label above its dot, so that it has the whole width of a phone."""
    label = shown(label)
    if len(label) > LONGEST_LABEL:
        label = label[: LONGEST_LABEL - 1] + "…"
    parts = [
        Markup('<text class="label" x="{x}" y="{y}">{label}</text>').format(
            x=_MARGIN, y=coordinate(top + 17), label=label
        )
    ]
    y = coordinate(top + 30)
    if ends is not None:
        parts.append(
            Markup('<line class="whisker" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/>').format(
                a=ends[0], b=ends[1], y=y
            )
        )
    parts.append(
        Markup('<circle class="dot {kind}" cx="{x}" cy="{y}" r="5"/>').format(
            kind=kind, x=place, y=y
        )
    )
    return parts


@dataclass(frozen=True, slots=True)
class Whisker:
    """One row of a forest plot: a difference in shares, from -1 to 1, with its interval."""

    label: str
    value: float
    low: float | None
    high: float | None


def forest_plot(rows: Sequence[Whisker], title: str, identifier: str) -> Markup:
    """Return an SVG with a row per difference around zero; `identifier` is unique on its page.

    The axis is as wide on either side as the farthest end, in steps of 10 points.
    """
    ends = [abs(e) for row in rows for e in (row.value, row.low, row.high) if e is not None]
    reach = min(1.0, math.ceil(max([*ends, 0.1]) * 10 - 1e-9) / 10)
    height, bottom = _TOP + _ROW * len(rows) + _BOTTOM, _TOP + _ROW * len(rows)
    words = "; ".join(_difference_words(row) for row in rows)
    parts = [
        Markup(
            '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{i}-t {i}-d">'
            '<title id="{i}-t">{title}</title><desc id="{i}-d">{text}</desc>'
        ).format(w=_WIDTH, h=height, i=identifier, title=shown(title), text=words)
    ]

    def across(value: float) -> str:
        return _x((value / reach + 1) / 2)

    for share in (-1, -0.5, 0, 0.5, 1):
        points, x = 100 * share * reach, across(share * reach)
        # Labels reach across the zero line, so the grid stands below the label in each row.
        parts += [
            Markup('<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>').format(
                kind="grid" if share else "grid zero", x=x, top=top + _BELOW_LABEL,
                bottom=top + _ROW,
            )
            for top in range(_TOP, bottom, _ROW)
        ]  # fmt: skip
        parts.append(
            Markup('<text class="tick" x="{x}" y="{y}" text-anchor="middle">{text}</text>').format(
                x=x, y=bottom + 20, text=f"{points:+g}" if share else "0"
            )
        )
    for index, row in enumerate(rows):
        parts += _marks(
            row.label, across(row.value),
            None if row.low is None or row.high is None else (across(row.low), across(row.high)),
            _TOP + _ROW * index, "ranked",
        )  # fmt: skip
    return Markup("").join([*parts, Markup("</svg>")])


def _difference_words(row: Whisker) -> str:
    text = f"{shown(row.label)}: {points(row.value)} points"
    if row.low is None or row.high is None:
        return f"{text}, no interval"
    return f"{text}, interval {points(row.low)} to {points(row.high)}"


def _x(share: float) -> str:
    return coordinate(_MARGIN + share * (_WIDTH - 2 * _MARGIN))


def coordinate(value: float) -> str:
    """Return a coordinate of an SVG: one decimal at most, the same text everywhere."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of a stacked bar."""

    label: str
    share: float
    """Of the whole bar, 0 to 1."""
    style: int


def stacked_bar(parts: Sequence[Part], title: str) -> Markup:
    """Return an SVG of shares side by side; the words are those of the table beside it.

    >>> print(stacked_bar([Part("passes", 0.5, 0), Part("timeout", 0.5, 6)], "m")[:39])
    <svg class="stack" viewBox="0 0 100 10"
    """
    place, pieces = 0.0, []
    for part in parts:
        if part.share <= 0:
            continue
        pieces.append(
            Markup(
                '<rect class="f{style}" x="{x}" width="{w}" height="10"><title>{t}</title></rect>'
            ).format(
                style=part.style, x=f"{100 * place:.2f}", w=f"{100 * part.share:.2f}",
                t=f"{shown(part.label)} {100 * part.share:.1f} %",
            )
        )  # fmt: skip
        place += part.share
    words = ", ".join(f"{shown(p.label)} {100 * p.share:.1f} %" for p in parts if p.share > 0)
    head = Markup(
        '<svg class="stack" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        'aria-label="{title}: {words}">'
    ).format(title=shown(title), words=words)
    return Markup("").join([head, *pieces, Markup("</svg>")])
