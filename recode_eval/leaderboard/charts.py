"""Charts as SVG: made at build time, coloured by the page's style sheet, with alternative text.

No style attributes and no scripts, so that the page's content security policy holds for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from recode_eval.leaderboard.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _MARGIN, _ROW, _TOP, _BOTTOM = 520, 32, 42, 4, 34
_LONGEST_LABEL = 40


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
    """Draw the label above its dot, so that it has the whole width of a phone."""
    label = shown(dot.label)
    if len(label) > _LONGEST_LABEL:
        label = label[: _LONGEST_LABEL - 1] + "…"
    kind = "ranked" if dot.ranked else "unranked"
    parts = [
        Markup('<text class="label" x="{x}" y="{y}">{label}</text>').format(
            x=_MARGIN, y=coordinate(top + 17), label=label
        )
    ]
    y = top + 30
    if dot.low is not None and dot.high is not None:
        parts.append(
            Markup('<line class="whisker" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/>').format(
                a=_x(dot.low), b=_x(dot.high), y=coordinate(y)
            )
        )
    parts.append(
        Markup('<circle class="dot {kind}" cx="{x}" cy="{y}" r="5"/>').format(
            kind=kind, x=_x(dot.value), y=coordinate(y)
        )
    )
    return Markup("").join(parts)


def _x(share: float) -> str:
    return coordinate(_MARGIN + share * (_WIDTH - 2 * _MARGIN))


def coordinate(value: float) -> str:
    """Return a coordinate of an SVG: one decimal at most, the same text everywhere."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
