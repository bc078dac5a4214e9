"""Badges: a score or a verdict of the gate as a small SVG, for a README or a model's card.

Own SVG without fonts, scripts or addresses: it may stand in any page. Widths follow the text, and
`textLength` holds the text to them, whatever font the reader has. Names are hostile: they are spelt
out, cut and escaped.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup
from rich.cells import cell_len

from recode_eval.gating.shipping import Finding, of_file, shipping_sentence
from recode_eval.leaderboard.boards import is_baseline
from recode_eval.leaderboard.publishing import public
from recode_eval.leaderboard.site_views import SiteView
from recode_eval.metrics import metric
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.site_views import SiteData
    from recode_eval.schemas.verdict import VerdictFile

GATE_PATH: Final = "badges/gate.svg"
_SCORE: Final = "#1f5a99"
_COLOURS: Final = {
    "pass": "#1b6e35",
    "regress": "#a3221b",
    "inconclusive": "#7a5600",
    "invalid": "#5a5a5a",
}
"""Dark enough that white text on them has a contrast of 4.5 and more."""
_LABEL: Final = "#3b3b3b"
_CELL: Final = 6.7
"""Units of one column of text at 11 units of height, in a wide sans-serif font."""
_PAD: Final = 6
_MOST: Final = 60
"""Characters of either half."""


@dataclass(frozen=True, slots=True)
class Badge:
    """What a badge says; hostile text."""

    label: str
    message: str
    colour: str
    title: str
    """The whole, for a screen reader and the pointer."""

    @property
    def svg(self) -> str:
        """The file's content.

        >>> "<title>a &lt;b&gt;: 1</title>" in Badge("a", "1", "#000", "a <b>: 1").svg
        True
        """
        left, right = (one_line(text, _MOST) for text in (self.label, self.message))
        title = html.escape(one_line(self.title, 300))
        first, second = (round(_CELL * max(1, cell_len(text)), 1) for text in (left, right))
        edge = round(first + 2 * _PAD, 1)
        width = round(edge + second + 2 * _PAD, 1)
        texts = "".join(
            f'<text x="{x:g}" y="14" textLength="{length:g}" lengthAdjust="spacingAndGlyphs">'
            f"{html.escape(text)}</text>"
            for x, length, text in ((_PAD, first, left), (edge + _PAD, second, right))
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="20" '
            f'viewBox="0 0 {width:g} 20" role="img" aria-label="{title}"><title>{title}</title>'
            f'<rect width="{width:g}" height="20" rx="3" fill="{_LABEL}"/>'
            f'<path d="M{edge:g} 0h{width - edge - 3:g}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{edge:g}z" '
            f'fill="{self.colour}"/><g fill="#fff" font-size="11" '
            f'font-family="Verdana,DejaVu Sans,Geneva,sans-serif">{texts}</g></svg>\n'
        )


def score_badge(board: Board, standing: Standing, name: str | None = None) -> Badge:
    """Return the badge of a run on its board, of its ranking metric or the one named.

    Raises `KeyError` if the run has no such metric.
    """
    run = standing.run
    chosen = name or board.primary
    estimate = run.results.metrics[chosen]
    shown = metric(chosen)
    what = f"{shown.label} on {board.task}"
    if board.unusual:
        what = f"{what} ({board.unusual})"
    if estimate is None:
        message, said = "no score", "no score"
    else:
        value, interval = shown.show(estimate["value"]), shown.show_uncertainty(estimate)
        message = f"{value} {interval}".rstrip()
        said = f"{message} (95 % interval), {board.problems} problems, n = {run.stored.n}"
    model = public(run.model_name)
    return Badge(what, message, _SCORE, f"{model}: {what} {said}, board {board.label}")


def gate_badge(content: VerdictFile) -> Badge:
    """Return the badge of a verdict: the verdict, and the change of the metric that decided."""
    message: str = content.verdict
    shipment = of_file(content)
    first = next((x for x in shipment.findings if x.verdict == content.verdict), None)
    if first is not None and first.difference is not None:
        message += f", {_change(first)}"
    said = shipping_sentence(shipment, lambda name: one_line(public(name), 60))
    return Badge("recode-eval gate", message, _COLOURS[content.verdict], f"{message}: {said}")


def _change(item: Finding) -> str:
    shown = metric(item.metric)
    interval = shown.show_interval(item.low, item.high, sign=True)
    return f"{shown.label} {shown.show(item.difference or 0.0, sign=True)} {interval}".rstrip()


def path_of(standing: Standing) -> str:
    """Return where a site keeps the badge of a run: by its hash, so that it never says else."""
    return f"badges/{standing.run.key}.svg"


def _badges(site: SiteData) -> Iterable[tuple[str, Badge, Standing | None]]:
    if site.verdicts:
        yield GATE_PATH, gate_badge(site.verdicts[0].content), None
    for board in site.boards:
        for standing in board.standings:
            if not is_baseline(standing.run):
                yield path_of(standing), score_badge(board, standing), standing


def _context(site: SiteData) -> dict[str, Any] | None:
    # The drawing is markup of our own, with every text in it escaped.
    found = [
        (path, badge, Markup(badge.svg), standing)  # noqa: S704
        for path, badge, standing in _badges(site)
    ]
    return {"badges": found} if found else None


def _files(site: SiteData) -> Iterable[tuple[str, str]]:
    for path, badge, _ in _badges(site):
        yield path, badge.svg


BADGES_VIEW = SiteView("badges.html", "", "badges.html", _context, _files)
