"""Comparisons for people: a table, and Markdown that hostile names cannot break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.comparison.costs import cost_difference, cost_sentence
from recode_eval.comparison.headline import Headline, headline, headline_text
from recode_eval.comparison.problems import FALSE_DISCOVERIES
from recode_eval.comparison.sentences import p_text, sentence, two_questions
from recode_eval.metrics import label, metric
from recode_eval.tables import listed, print_table
from recode_eval.terminal import one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from recode_eval.comparison.differences import Comparison, MetricDifference
    from recode_eval.comparison.problems import ProblemChanges

SHOWN_PROBLEMS = 100
"""Ids per list in Markdown; verdict.json and `--json` have all of them."""
_STYLES = {Headline.BETTER: "green", Headline.WORSE: "red", Headline.OPEN: ""}
_HEADINGS = (
    "metric",
    "baseline",
    "candidate",
    "difference",
    "p",
    "p (Holm)",
    "p (sign flip)",
    "N",
)


def value_text(name: str, value: float) -> str:
    """Return a value as it is shown: `62.5` for 0.625, `-0.31` for ES*."""
    return metric(name).show(value)


def change_text(difference: MetricDifference) -> str:
    """Return `-1.2 [-3.0, +0.6]` in points, or the change alone where there is no interval.

    Where all clusters changed alike, words say so, and that the ends are a bound.
    """
    found, shown = difference.estimate, metric(difference.metric)
    if found.mean is None:
        return "-"
    interval = shown.show_interval(found.low, found.high, sign=True)
    if found.reach is not None:
        interval = f"({found.clusters} of {found.clusters} clusters alike, bound {interval})"
    return f"{shown.show(found.mean, sign=True)} {interval}".rstrip()


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
            f"{item.estimate.n} in {item.estimate.clusters}",
        ]
        for item in differences
    ]


def _family(item: MetricDifference) -> str:
    return f" ({item.family})" if item.family else ""


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
    baseline, candidate = item.names
    names = [code(text) for text in (candidate, baseline, item.baseline.task)]
    title = "### {} against {} on {}\n\n".format(*names)
    cautions = "".join(f"- **Caution**: {code(text)}\n" for text in item.cautions)
    rows = [
        [f"{code(first)}{_family(x)}", *rest]
        for x, (first, *rest) in zip(item.differences, table_rows(item.differences), strict=True)
    ]
    return "".join(
        [
            title,
            f"{cautions}\n" if cautions else "",
            markdown_table(_HEADINGS, rows),
            "\n",
            *(f"- {sentence(x, names[1], names[0], names[2])}\n" for x in item.differences),
            *(f"- {text}\n" for x in item.differences[:1] if (text := two_questions(x, names[2]))),
            f"- {text}\n" if (text := _cost(item)) else "",
            f"\n{changes_text(item.changes, names[2])}\n\n",
            markdown_problems("Fixed", item.changes.fixed),
            markdown_problems("Broken", item.changes.broken),
        ]
    )


def _cost(item: Comparison) -> str:
    return cost_sentence(cost_difference(item.baseline, item.candidate))


def changes_text(changes: ProblemChanges, task: str = "") -> str:
    """Say how many problems changed for certain, and in these samples.

    `task` is its name, safe to show, if the text is to name it.
    """
    where = f" on {task}" if task else ""
    if changes.too_few:
        counts = " and ".join(map(str, dict.fromkeys(changes.too_few)))
        found = f"n = {counts} is too few to name single problems{where}"
        test = "with these passes none could be significant: Fisher's exact test"
    else:
        found = (
            f"{plural(len(changes.fixed), 'problem')} fixed, {len(changes.broken)} broken{where}"
        )
        test = "Fisher's exact test"
    return (
        f"{found} ({test} per problem, false discovery rate {100 * FALSE_DISCOVERIES:g} %); in "
        f"these samples {changes.better} did better and {changes.worse} worse."
    )


def print_headline(console: Console, item: Comparison) -> None:
    """Print the verdict on a pair, by its primary metric, in one coloured sentence."""
    baseline, candidate = (one_line(text, 60) for text in item.names)
    for found in item.differences[:1]:
        text = headline_text(found, baseline, candidate, one_line(item.baseline.task, 60))
        console.print(text, style=f"bold {_STYLES[headline(found)]}".rstrip(), soft_wrap=True)


def print_comparison(console: Console, item: Comparison) -> None:
    """Print one pair of runs."""
    baseline, candidate = item.names
    runs = candidate, baseline, item.baseline.task
    title = "{} against {} on {}".format(*(one_line(text, 60) for text in runs))
    console.print(title, style="bold", soft_wrap=True)
    for text in item.cautions:
        console.print(f"caution: {one_line(text)}", style="yellow", soft_wrap=True)
    rows = [
        [f"{first}{_family(found)}", *rest]
        for found, (first, *rest) in zip(
            item.differences, table_rows(item.differences), strict=True
        )
    ]
    print_table(console, _HEADINGS, rows, optional=("p (sign flip)", "p", "N"))
    shown = [one_line(text, 60) for text in (baseline, candidate, item.baseline.task)]
    for found in item.differences:
        console.print(sentence(found, *shown), soft_wrap=True)
    for found in item.differences[:1]:
        if text := two_questions(found, shown[2]):
            console.print(text, soft_wrap=True)
    if text := _cost(item):
        console.print(text, soft_wrap=True)
    console.print(changes_text(item.changes, shown[2]), soft_wrap=True)
    for title, ids in (("fixed", item.changes.fixed), ("broken", item.changes.broken)):
        if ids:
            console.print(
                f"  {title}: {listed([one_line(key, 100) for key in ids])}", soft_wrap=True
            )
