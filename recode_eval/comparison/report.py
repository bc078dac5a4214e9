"""Comparisons for people: a table, and Markdown that hostile names cannot break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.metrics import label, metric
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from recode_eval.comparison.differences import Comparison, MetricDifference, ProblemChanges

SHOWN_PROBLEMS = 100
"""Ids per list; verdict.json and `--json` have all of them."""
_HEADINGS = (
    "metric",
    "baseline",
    "candidate",
    "difference",
    "p",
    "p (Holm)",
    "p (sign flip)",
    "detectable",
)


def value_text(name: str, value: float) -> str:
    """Return a value as it is shown: `62.5` for 0.625, `-0.31` for ES*."""
    return metric(name).show(value)


def change_text(difference: MetricDifference) -> str:
    """Return `-1.2 [-3.0, +0.6]` in points, or the change alone where there is no interval."""
    found, shown = difference.estimate, metric(difference.metric)
    if found.mean is None:
        return "-"
    interval = shown.show_interval(found.low, found.high, sign=True)
    return f"{shown.show(found.mean, sign=True)} {interval}".rstrip()


def p_text(p_value: float | None) -> str:
    """Return a p-value with three digits, or a dash."""
    return "-" if p_value is None else f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def code(text: object) -> str:
    """Return hostile text as a Markdown code span: no markup, link or mention comes to life."""
    return f"`{one_line(text).replace('`', chr(39)).replace('|', '¦') or '-'}`"


def table_rows(differences: Iterable[MetricDifference]) -> list[list[str]]:
    """Return a row of text per metric, as `_HEADINGS` say."""
    return [
        [
            one_line(label(item.metric), 60),
            value_text(item.metric, item.baseline),
            value_text(item.metric, item.candidate),
            change_text(item),
            p_text(item.p_value),
            p_text(item.p_holm),
            p_text(item.p_sign_flip),
            "-" if item.detectable is None else value_text(item.metric, item.detectable),
        ]
        for item in differences
    ]


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the cells must be safe already."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def markdown_problems(title: str, ids: Sequence[str]) -> str:
    """Return a folded list of problems, cut at `SHOWN_PROBLEMS`; empty without any."""
    if not ids:
        return ""
    lines = "".join(f"- {code(key)}\n" for key in ids[:SHOWN_PROBLEMS])
    more = len(ids) - SHOWN_PROBLEMS
    rest = f"- and {more} more\n" if more > 0 else ""
    return f"<details><summary>{title}: {len(ids)}</summary>\n\n{lines}{rest}\n</details>\n\n"


def comparison_markdown(item: Comparison) -> str:
    """Return a section on one pair of runs."""
    names = (code(text) for text in (item.candidate.model, item.baseline.model, item.baseline.task))
    title = "### {} against {} on {}\n\n".format(*names)
    cautions = "".join(f"- **Caution**: {code(text)}\n" for text in item.cautions)
    rows = [[code(first), *rest] for first, *rest in table_rows(item.differences)]
    return "".join(
        [
            title,
            f"{cautions}\n" if cautions else "",
            markdown_table(_HEADINGS, rows),
            f"\n{changes_text(item.changes)}\n\n",
            markdown_problems("Fixed", item.changes.fixed),
            markdown_problems("Broken", item.changes.broken),
        ]
    )


def changes_text(changes: ProblemChanges) -> str:
    """Say how many problems changed sides, and McNemar's test of it."""
    text = f"{len(changes.fixed)} problems fixed, {len(changes.broken)} broken"
    if changes.p_mcnemar is None:
        return f"{text}."
    return f"{text} (McNemar, exact, problems taken as independent: p {p_text(changes.p_mcnemar)})."


def print_comparison(console: Console, item: Comparison) -> None:
    """Print one pair of runs."""
    from rich.table import Table

    runs = item.candidate.model, item.baseline.model, item.baseline.task
    title = "{} against {} on {}".format(*(one_line(text, 60) for text in runs))
    console.print(title, style="bold", soft_wrap=True)
    for text in item.cautions:
        console.print(f"caution: {one_line(text)}", style="yellow", soft_wrap=True)
    table = Table()
    for heading in _HEADINGS:
        left = heading == "metric"
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for row in table_rows(item.differences):
        table.add_row(*row)
    console.print(table)
    console.print(changes_text(item.changes), soft_wrap=True)
    for title, ids in (("fixed", item.changes.fixed), ("broken", item.changes.broken)):
        for key in ids[:SHOWN_PROBLEMS]:
            console.print(f"  {title}: {one_line(key)}", soft_wrap=True)
        if len(ids) > SHOWN_PROBLEMS:
            console.print(f"  {title}: and {len(ids) - SHOWN_PROBLEMS} more", soft_wrap=True)
