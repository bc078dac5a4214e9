"""Show a comparison: the content of `comparison.json`, Markdown, and tables."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from recode_eval.comparison.pooling import Change
from recode_eval.comparison.report import code, markdown_table, value_text
from recode_eval.comparison.sentences import p_text
from recode_eval.metrics import label
from recode_eval.metrics import metric as metric_of
from recode_eval.run.report import format_estimate
from recode_eval.terminal import one_line, stdout_console
from recode_train.comparing.arms import BASE
from recode_train.comparing.differences import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import ProblemResult
    from recode_train.comparing.configs import Prepared
    from recode_train.comparing.settings import CompareConfig

SCHEMA_VERSION: Final = 2
"""2: differences are about methods or about these trainings (`scope`)."""
_BUDGETS: Final = {
    "prompts": "prompts",
    "pairs": "distinct pairs",
    "passes": "passes",
    "completions_generated": "completions",
    "steps": "updates",
    "tokens_generated": "tokens generated",
    "tokens_trained": "tokens trained on",
    "seconds": "wall s",
    "cpu_seconds": "CPU s",
}
_VERDICTS: Final = {"up": "more", "down": "less", "same": "not distinguishable", "none": "no test"}
_NOTE: Final = (
    "Means over problems with clustered 95 % intervals. Seeds of an arm are pooled by problem, "
    "their own values are in brackets; N: problems. Holm's procedure adjusts p for all differences "
    "in the primary metrics (pass@1, ES), and apart from them for those in all others, which are "
    "exploratory. With two seeds or more, a difference is one of methods: interval and p count the "
    "variance between trainings. With one seed it is about these trainings only."
)

_Table = tuple[list[str], list[list[str]]]


def make(
    config: CompareConfig,
    prepared: Prepared,
    runs: Mapping[str, Mapping[str, Sequence[ResultsFile]]],
    budgets: Mapping[str, Sequence[Mapping[str, Any]]],
    prompts: Mapping[str, str],
) -> dict[str, Any]:
    """Return the content of comparison.json (docs/training.md).

    `runs` has those of all seeds and tasks by sampling and arm; `budgets` what every training of
    an arm cost, seed by seed; `prompts` the prompt variant that each task was evaluated on.
    """
    evaluations: dict[tuple[str, str], dict[str, list[list[ProblemResult]]]] = {}
    for sampling, arms in runs.items():
        for arm, stored in arms.items():
            for run in stored:
                place = evaluations.setdefault((run.task, sampling), {})
                place.setdefault(arm, []).append(run.results.problems)
    found = differences(evaluations)
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": config.model,
        "arms": [BASE, *config.trained],
        "seeds": list(config.seeds),
        "match": config.match,
        "matched": prepared.matched.text,
        "starts": {arm.name: arm.start for arm in config.ways},
        "pairs": len(prepared.matched.pairs),
        "pairs_left_out": prepared.matched.left_out,
        "prompts": dict(prompts),
        "budgets": {arm: [dict(item) for item in items] for arm, items in budgets.items()},
        **{
            name: [dataclasses.asdict(item) for item in getattr(found, name)]
            for name in ("values", "differences", "categories")
        },
    }
    return json.loads(json.dumps(content))  # type: ignore[no-any-return]  # as it is read again


def markdown(content: Mapping[str, Any]) -> str:
    """Return the content of comparison.md; names are hostile text."""
    parts = [
        f"# {code(content['model'])}, trained in several ways\n\n{_matched(content)}\n\n{_NOTE}\n"
    ]
    for title, (heading, rows) in _tables(content):
        cells = [[code(first), *rest] for first, *rest in rows]
        parts.append(f"\n## {title}\n\n{markdown_table(heading, cells)}")
    return "".join(parts)


def show(content: Mapping[str, Any]) -> None:
    """Print budgets, values and differences; categories are in the files."""
    from rich.table import Table

    console = stdout_console()
    for title, (heading, rows) in _tables(content):
        if ", by " in title:
            continue
        table = Table(title=title.replace("`", ""), title_justify="left")
        for number, name in enumerate(heading):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(one_line(cell) for cell in row))
        console.print(table)
    console.print(_matched(content), soft_wrap=True)
    console.print(_NOTE, soft_wrap=True)


def _matched(content: Mapping[str, Any]) -> str:
    """Say what the arms have in common."""
    left_out = content["pairs_left_out"]
    more = f" {left_out:,} pairs are too long for an arm and left out of all." if left_out else ""
    return f"Matched by {content['matched']}.{more} A training counts without that of its start."


def _tables(content: Mapping[str, Any]) -> Iterator[tuple[str, _Table]]:
    yield "Budgets", _budgets(content)
    keys = ("task", "sampling", "metric")
    for task, sampling, metric in dict.fromkeys(
        tuple(item[key] for key in keys) for item in content["values"]
    ):
        title = f"{code(task)}, {sampling}: {label(metric)}"
        yield title, _values(content, task, sampling, metric)
    for task, sampling, tag in dict.fromkeys(
        (item["task"], item["sampling"], item["tag"]) for item in content["categories"]
    ):
        title = f"{code(task)}, {sampling}, by {code(tag.replace('_', ' '))}"
        yield title, _categories(content, task, sampling, tag)


def _budgets(content: Mapping[str, Any]) -> _Table:
    rows = []
    for arm, items in content["budgets"].items():
        for seed, item in zip(content["seeds"], items, strict=True):
            cells = [_number(name, item.get(name)) for name in _BUDGETS]
            start = content["starts"].get(arm, BASE)
            rows.append([f"{arm}{'' if start == BASE else f' after {start}'}, seed {seed}", *cells])
    return ["training", *_BUDGETS.values()], rows


def _number(name: str, figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.2f}" if name == "passes" else f"{figure:,.0f}"


def _values(content: Mapping[str, Any], task: str, sampling: str, metric: str) -> _Table:
    def here(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        wanted = (task, sampling, metric)
        return [i for i in items if (i["task"], i["sampling"], i["metric"]) == wanted]

    found = here(content["differences"])
    references = list(dict.fromkeys(item["reference"] for item in found))
    changes = {(item["reference"], item["arm"]): item["change"] for item in found}
    rows = []
    for item in here(content["values"]):
        text = format_estimate(metric, item["estimate"])
        if len(item["seeds"]) > 1:
            text += f" ({', '.join(value_text(metric, value) for value in item['seeds'])})"
        cells = [changes.get((reference, item["arm"])) for reference in references]
        count = "-" if item["estimate"] is None else str(item["estimate"]["problems"])
        rows.append([item["arm"], text, count, *(_change(metric, cell) for cell in cells)])
    return ["arm", label(metric), "N", *(f"against {name}" for name in references)], rows


def _change(metric: str, content: Mapping[str, Any] | None) -> str:
    if content is None:
        return "-"
    change = Change(**content)
    shown = metric_of(metric)
    interval = shown.show_interval(change.low, change.high, sign=True)
    value = f"{shown.show(change.value, sign=True)} {interval}".rstrip()
    about = f" ({change.scope})" if change.trainings else ""
    return f"{value}, p {p_text(change.p_holm)}: {_VERDICTS[change.verdict]}{about}"


def _categories(content: Mapping[str, Any], task: str, sampling: str, tag: str) -> _Table:
    wanted = (task, sampling, tag)
    here = [
        item
        for item in content["categories"]
        if (item["task"], item["sampling"], item["tag"]) == wanted
    ]
    arms = list(dict.fromkeys(item["arm"] for item in here))
    rows = []
    for value in dict.fromkeys(item["value"] for item in here):
        line = {item["arm"]: item for item in here if item["value"] == value}
        first = next(iter(line.values()))
        metric = first["metric"]
        cells = [
            f"{value_text(metric, line[arm]['after'])} "
            f"({value_text(metric, line[arm]['change']['value'])})"
            if arm in line
            else "-"
            for arm in arms
        ]
        problems = str(first["change"]["problems"])
        rows.append([value or "(none)", problems, value_text(metric, first["before"]), *cells])
    return [tag.replace("_", " "), "problems", "untrained", *arms], rows
