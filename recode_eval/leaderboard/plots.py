"""Charts with two axes, as SVG: curves over training steps, and two changes with their intervals.

Like `charts`, without scripts and style attributes: colours and dashes are classes of
static/views.css, and every chart says in words what it shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from recode_eval.leaderboard.charts import coordinate
from recode_eval.leaderboard.text import points, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLES = 12
"""Distinguishable line styles: six colours, each with two kinds of dashes."""
MOST_POINTS = 300
"""Points of a line that are drawn; a longer one is averaged in stretches."""

_WIDTH, _LEFT, _RIGHT, _BOTTOM = 520, 62, 14, 40
_PANEL_HEIGHT, _CROSS_HEIGHT, _TITLE = 210, 400, 30
_TICKS = 5
_LONGEST_WORDS = 60
_SHORTEST = 0.1

XY = tuple[float, float]
Axis = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Span:
    """A value with its interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> list[float]:
        """All numbers that a chart must have room for."""
        return [end for end in (self.value, self.low, self.high) if end is not None]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a panel; `faint` are the lines that it sums up, such as those of the seeds."""

    label: str
    style: int
    points: Sequence[XY]
    faint: Sequence[Sequence[XY]] = ()
    marks: Sequence[tuple[float, Span]] = ()
    """Measured points: a step and what was measured there."""


@dataclass(frozen=True, slots=True)
class Cross:
    """Two changes of one model, in shares."""

    number: int
    label: str
    style: int
    x: Span
    y: Span


@dataclass(frozen=True, slots=True)
class _PlotFrame:
    """From values to coordinates."""

    x: Axis
    y: Axis
    height: float
    top: float = 10

    def across(self, value: float) -> float:
        share = (value - self.x[0]) / (self.x[1] - self.x[0])
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def down(self, value: float) -> float:
        share = (value - self.y[0]) / (self.y[1] - self.y[0])
        return self.height - _BOTTOM - share * (self.height - self.top - _BOTTOM)


@dataclass(frozen=True, slots=True)
class _Unit:
    """How an axis writes its numbers."""

    scale: float = 1
    sign: str = ""

    def text(self, value: float) -> str:
        return _tick(self.scale * value) + self.sign


@dataclass(frozen=True, slots=True)
class _PowerUnit(_Unit):
    """An axis of logarithms that writes the numbers themselves."""

    def text(self, value: float) -> str:
        return f"{float(f'{10**value:.2g}'):,.6g}"


_PLAIN, _PERCENT, _POINTS, _POWER = _Unit(), _Unit(100, " %"), _Unit(100), _PowerUnit()


def panel(
    curves: Sequence[Curve], title: str, identifier: str, last: float, *, percent: bool = False
) -> Markup:
    """Return an SVG of curves over training steps; `identifier` must be unique on its page.

    The axis ends at the step `last`, so that panels below each other have the same. With `percent`
    the values are shares.
    """
    drawn = [_thinned(curve) for curve in curves]
    heights = [y for curve in drawn for y in _heights(curve)]
    height = _share_range(heights) if percent else _range(heights)
    frame = _PlotFrame((0.0, max(last, 1.0)), height, _PANEL_HEIGHT)
    words = "; ".join(_curve_words(curve, percent=percent) for curve in curves)
    parts = [
        _head(title, words, identifier, _PANEL_HEIGHT),
        *_grid(frame, _PLAIN, _PERCENT if percent else _PLAIN),
    ]
    parts.append(_axis_title("step", _LEFT, "start", frame))
    for curve in drawn:
        parts += [_line(points, curve.style, frame, faint=True) for points in curve.faint]
    for curve in drawn:
        parts.append(_line(curve.points, curve.style, frame))
        parts += [_mark(x, span, curve.style, frame) for x, span in curve.marks]
    return Markup("").join([*parts, Markup("</svg>")])


def crosses(points: Sequence[Cross], title: str, identifier: str, axes: tuple[str, str]) -> Markup:
    """Return an SVG of changes against changes, in percent points, with zero on both axes.

    Points carry their numbers: a table beside the chart must say which model each one is.
    """
    across = [0.0, *(end for point in points for end in point.x.ends)]
    down = [0.0, *(end for point in points for end in point.y.ends)]
    frame = _PlotFrame(_range(across), _range(down), _CROSS_HEIGHT, _TITLE)
    words = "; ".join(_cross_words(p, axes) for p in points)
    parts = [_head(title, words, identifier, _CROSS_HEIGHT), *_grid(frame, _POINTS, _POINTS)]
    parts += [_zero(frame), _axis_title(f"{axes[0]}, points", _WIDTH - _RIGHT, "end", frame)]
    parts.append(
        Markup('<text class="tick" x="{x}" y="{y}">{text}, points</text>').format(
            x=0, y=coordinate(_TITLE - 12), text=_short(axes[1])
        )
    )
    parts += [_cross(point, frame) for point in points]
    return Markup("").join([*parts, Markup("</svg>")])


@dataclass(frozen=True, slots=True)
class Place:
    """A model in a chart of score against what it takes."""

    number: int
    label: str
    x: float
    """Above 0."""
    y: float
    """A share, 0 to 1, with its interval."""
    low: float | None
    high: float | None
    kind: str
    """What colours it (`methods.method_class`)."""
    filled: bool


def scatter(places: Sequence[Place], title: str, identifier: str, axis: str) -> Markup:
    """Return an SVG of scores against a positive quantity, on a logarithmic axis.

    Points carry their numbers; a table beside the chart says which model each one is.
    """
    logs = [math.log10(place.x) for place in places]
    ends = [end for p in places for end in (p.y, p.low, p.high) if end is not None]
    frame = _PlotFrame(_range(logs), _share_range(ends), _CROSS_HEIGHT)
    words = "; ".join(
        f"{p.number}, {_short(p.label)}: {100 * p.y:.1f} % at {p.x:.4g}"
        f"{', on the frontier' if p.filled else ''}"
        for p in places
    )
    parts = [_head(title, words, identifier, _CROSS_HEIGHT)]
    parts += _grid(frame, _POWER, _PERCENT, power_ticks(*frame.x))
    parts.append(_axis_title(axis, _WIDTH - _RIGHT, "end", frame))
    for place, log in zip(places, logs, strict=True):
        x, y = coordinate(frame.across(log)), frame.down(place.y)
        if place.low is not None and place.high is not None:
            parts.append(
                Markup('<line class="span m-{kind}" x1="{x}" x2="{x}" y1="{a}" y2="{b}"/>').format(
                    kind=place.kind, x=x, a=coordinate(frame.down(place.low)),
                    b=coordinate(frame.down(place.high)),
                )
            )  # fmt: skip
        parts.append(
            Markup(
                '<circle class="place m-{kind}{filled}" cx="{x}" cy="{y}" r="5"/>'
                '<text class="label" x="{tx}" y="{ty}">{number}</text>'
            ).format(
                kind=place.kind, filled=" filled" if place.filled else "", x=x, y=coordinate(y),
                tx=coordinate(frame.across(log) + 8), ty=coordinate(y - 6), number=place.number,
            )
        )  # fmt: skip
    return Markup("").join([*parts, Markup("</svg>")])


def swatch(style: int, *, dot: bool = False) -> Markup:
    """Return a small picture of a line, or of a point; its label stands beside it."""
    if dot:
        return Markup(
            '<svg class="swatch dot" viewBox="0 0 10 10" aria-hidden="true">'
            '<circle class="point {style}" cx="5" cy="5" r="4"/></svg>'
        ).format(style=_class(style))
    return Markup(
        '<svg class="swatch" viewBox="0 0 36 10" aria-hidden="true">'
        '<polyline class="line {style}" points="1,5 35,5"/></svg>'
    ).format(style=_class(style))


def ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Return round numbers from `low` to `high` (low < high), no more than `most` + 1."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def power_ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Return logarithms of round numbers from 10^`low` to 10^`high`, no more than `most` + 1.

    >>> [round(10**x, 4) for x in power_ticks(-0.5, 2.2)]
    [1.0, 3.0, 10.0, 30.0, 100.0]
    >>> [round(10**x, 4) for x in power_ticks(0.8, 1.2)]
    [7.0, 8.0, 9.0, 10.0, 12.0, 14.0]
    """
    first, last = math.floor(low), math.ceil(high)
    for digits in ((1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7),
                   (1, 2, 5), (1, 3), (1,)):  # fmt: skip
        found = [
            math.log10(digit) + power
            for power in range(first, last + 1)
            for digit in digits
            if low - 1e-9 <= math.log10(digit) + power <= high + 1e-9
        ]
        if len(found) <= most + 1:
            return found
    step = math.ceil(len(found) / (most + 1))
    return found[::step]


def _range(values: Iterable[float]) -> Axis:
    """Return an axis around the values, never empty."""
    found = list(values) or [0.0, 1.0]
    low, high = min(found), max(found)
    pad = (high - low) * 0.06 or max(abs(high) * 0.1, 1e-3)
    return low - pad, high + pad


def _share_range(values: Iterable[float]) -> Axis:
    """Return an axis for shares: within 0 and 1, and not so short that nothing looks like much."""
    low, high = _range(values)
    middle = min(max((low + high) / 2, _SHORTEST / 2), 1 - _SHORTEST / 2)
    return (
        max(0.0, min(low, middle - _SHORTEST / 2)),
        min(1.0, max(high, middle + _SHORTEST / 2)),
    )


def _thinned(curve: Curve) -> Curve:
    faint = [_few(points) for points in curve.faint]
    return Curve(curve.label, curve.style, _few(curve.points), faint, curve.marks)


def _few(points: Sequence[XY]) -> Sequence[XY]:
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(len(points) / MOST_POINTS)
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part))
        for part in stretches
    ]


def _heights(curve: Curve) -> list[float]:
    lines = [y for line in (curve.points, *curve.faint) for _, y in line]
    return [*lines, *(end for _, span in curve.marks for end in span.ends)]


def _head(title: str, words: str, identifier: str, height: float) -> Markup:
    return Markup(
        '<svg class="chart plot" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{i}-t {i}-d">'
        '<title id="{i}-t">{title}</title><desc id="{i}-d">{words}</desc>'
    ).format(w=_WIDTH, h=coordinate(height), i=identifier, title=shown(title), words=words)


def _grid(
    frame: _PlotFrame, x: _Unit, y: _Unit, across: Sequence[float] | None = None
) -> list[Markup]:
    """Return lines and numbers of the axes; `across` are the ticks below, None: round ones."""
    parts = []
    for value in ticks(*frame.y):
        parts.append(
            Markup(
                '<line class="grid" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/>'
                '<text class="tick" x="{t}" y="{ty}" text-anchor="end">{text}</text>'
            ).format(
                a=coordinate(_LEFT), b=coordinate(_WIDTH - _RIGHT), t=coordinate(_LEFT - 6),
                y=coordinate(frame.down(value)), ty=coordinate(frame.down(value) + 5),
                text=y.text(value),
            )
        )  # fmt: skip
    bottom = frame.height - _BOTTOM
    for value in ticks(*frame.x) if across is None else across:
        parts.append(
            Markup(
                '<line class="grid" x1="{x}" x2="{x}" y1="{a}" y2="{b}"/>'
                '<text class="tick" x="{x}" y="{ty}" text-anchor="middle">{text}</text>'
            ).format(
                x=coordinate(frame.across(value)), a=coordinate(frame.top), b=coordinate(bottom),
                ty=coordinate(bottom + 18), text=x.text(value),
            )
        )  # fmt: skip
    return parts


def _axis_title(text: str, x: float, side: str, frame: _PlotFrame) -> Markup:
    return Markup('<text class="tick" x="{x}" y="{y}" text-anchor="{side}">{text}</text>').format(
        x=coordinate(x), y=coordinate(frame.height - 4), side=side, text=_short(text)
    )


def _zero(frame: _PlotFrame) -> Markup:
    return Markup(
        '<line class="zero" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
        '<line class="zero" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
    ).format(
        x=coordinate(frame.across(0)), top=coordinate(frame.top),
        bottom=coordinate(frame.height - _BOTTOM), left=coordinate(_LEFT),
        right=coordinate(_WIDTH - _RIGHT), y=coordinate(frame.down(0)),
    )  # fmt: skip


def _line(points: Sequence[XY], style: int, frame: _PlotFrame, *, faint: bool = False) -> Markup:
    if not points:
        return Markup("")
    places = " ".join(
        f"{coordinate(frame.across(x))},{coordinate(frame.down(y))}" for x, y in points
    )
    kind = "line faint" if faint else "line"
    return Markup('<polyline class="{kind} {style}" points="{places}"/>').format(
        kind=kind, style=_class(style), places=places
    )


def _mark(x: float, span: Span, style: int, frame: _PlotFrame) -> Markup:
    """Draw a point with the upright bar of its interval."""
    place, parts = coordinate(frame.across(x)), []
    if span.low is not None and span.high is not None:
        parts.append(
            Markup('<line class="bar {style}" x1="{x}" x2="{x}" y1="{a}" y2="{b}"/>').format(
                style=_class(style),
                x=place,
                a=coordinate(frame.down(span.low)),
                b=coordinate(frame.down(span.high)),
            )
        )
    parts.append(
        Markup('<circle class="point {style}" cx="{x}" cy="{y}" r="4"/>').format(
            style=_class(style), x=place, y=coordinate(frame.down(span.value))
        )
    )
    return Markup("").join(parts)


def _cross(point: Cross, frame: _PlotFrame) -> Markup:
    x, y = frame.across(point.x.value), frame.down(point.y.value)
    parts = []
    if point.x.low is not None and point.x.high is not None:
        parts.append(
            Markup('<line class="bar {style}" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/>').format(
                style=_class(point.style),
                a=coordinate(frame.across(point.x.low)),
                b=coordinate(frame.across(point.x.high)),
                y=coordinate(y),
            )
        )
    parts.append(_mark(point.x.value, point.y, point.style, frame))
    parts.append(
        Markup('<text class="label" x="{x}" y="{y}">{number}</text>').format(
            x=coordinate(x + 7), y=coordinate(y - 7), number=point.number
        )
    )
    return Markup("").join(parts)


def _class(style: int) -> str:
    """Return the classes of a style; beyond the last they begin anew."""
    colour, dash = style % 6, style // 6 % 2
    return f"c{colour} dashed" if dash else f"c{colour}"


def _tick(value: float) -> str:
    """Return a round number whole: 0.0075 is not 0.007.

    >>> _tick(0.0075), _tick(1.0), _tick(-0.0), _tick(12500.0), _tick(0.1 + 0.2)
    ('0.0075', '1', '0', '12,500', '0.3')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{float(f'{value:.6g}'):.12f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _short(text: str) -> str:
    text = shown(text)
    return text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 1] + "…"


def _curve_words(curve: Curve, *, percent: bool) -> str:
    points = list(curve.points) or [(x, span.value) for x, span in curve.marks]
    if not points:
        return f"{_short(curve.label)}: no values"
    (first, start), (last, end) = points[0], points[-1]
    top, high = max(points, key=lambda point: point[1])

    def said(value: float) -> str:
        return f"{100 * value:.1f} %" if percent else f"{value:.3g}"

    return (
        f"{_short(curve.label)}: {said(start)} at step {_tick(first)}, {said(end)} at step "
        f"{_tick(last)}, highest {said(high)} at step {_tick(top)}"
    )


def _cross_words(point: Cross, axes: tuple[str, str]) -> str:
    def said(name: str, span: Span) -> str:
        value = f"{_short(name)} {points(span.value)} points"
        if span.low is None or span.high is None:
            return f"{value}, no interval"
        return f"{value}, interval {points(span.low)} to {points(span.high)}"

    return (
        f"{point.number}, {_short(point.label)}: {said(axes[0], point.x)}, {said(axes[1], point.y)}"
    )
