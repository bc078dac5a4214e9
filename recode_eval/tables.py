"""Tables for a terminal: no borders, and never wider than what is there.

A table that is too wide loses its optional columns first and says which; then intervals go below
their values; then cells are wrapped. Nothing is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table

_GAP = 2
"""Columns between two columns."""
MOST_LISTED = 5
"""Problems that a list on a terminal names; `--json` has all of them."""


def borderless(**options: Any) -> Table:
    """Return an empty table of rich with a line below its head and no other; takes its options."""
    from rich import box
    from rich.table import Table

    options = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, **options}
    return Table(padding=(0, 1, 0, 0), title_justify="left", caption_justify="left", **options)


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Iterable[int] = (0,),
    optional: Sequence[str] = (),
    caption: str | None = None,
) -> None:
    """Print a table that fits the console.

    Args:
        console: where it goes; its width decides what is shown.
        headings: one per column.
        rows: cells, safe to print; a cell may have several lines.
        left: columns of text; the others are numbers and stand at the right.
        optional: headings of columns that may be left out, the least important first.
        caption: a line below the table.

    >>> from rich.console import Console
    >>> console = Console(width=26, color_system=None)
    >>> rows = [["pass@1", "62.5 [55.1, 69.9]", "96"]]
    >>> print_table(console, ["metric", "value", "problems"], rows, optional=["problems"])
    metric              value
    ─────────────────────────
    pass@1  62.5 [55.1, 69.9]
    Not shown for want of width: problems (a wider terminal, or --json).
    """
    content = [list(row) for row in rows]
    kept, dropped = _fitting(console.width, headings, content, optional)
    text_columns = set(left)
    if _width([headings[i] for i in kept], [[row[i] for i in kept] for row in content]) > (
        console.width
    ):
        content = [[stacked(cell) for cell in row] for row in content]
    table = borderless()
    for index in kept:
        side = "left" if index in text_columns else "right"
        table.add_column(headings[index], justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in content:
        table.add_row(*(row[index] for index in kept))
    console.print(table)
    if dropped:
        note = f"Not shown for want of width: {', '.join(dropped)} (a wider terminal, or --json)."
        console.print(note, style="dim", soft_wrap=True)
    if caption:
        console.print(caption, soft_wrap=True)


def stacked(cell: str) -> str:
    r"""Put an interval below its value, where a line has no room for both.

    >>> stacked("62.5 [55.1, 69.9]")
    '62.5\n[55.1, 69.9]'
    """
    return cell.replace(" [", "\n[").replace(" (", "\n(")


def listed(names: Sequence[str], most: int = MOST_LISTED) -> str:
    """Return names in a line, cut at `most`, with how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _fitting(
    width: int, headings: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Return the columns that are kept, and the headings of those that are not."""
    kept, dropped = list(range(len(headings))), []
    for name in optional:
        if _width([headings[i] for i in kept], [[row[i] for i in kept] for row in rows]) <= width:
            break
        if name in headings:
            kept.remove(list(headings).index(name))
            dropped.append(name)
    return kept, dropped


def _width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    from rich.cells import cell_len

    columns = zip(headings, *rows, strict=True)
    widths = [
        max(cell_len(line) for cell in column for line in (cell.split("\n") or [""]))
        for column in columns
    ]
    return sum(widths) + _GAP * (len(widths) - 1)
