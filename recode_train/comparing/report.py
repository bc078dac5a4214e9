"""Show a comparison: the content of `comparison.json`, Markdown, and tables."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.comparison.pooling import Change
from recode_eval.comparison.report import code, markdown_table, value_text
from recode_eval.metrics import label
from recode_eval.metrics import metric as metric_of
from recode_eval.run.report import format_estimate
from recode_eval.tables import print_table
from recode_eval.terminal import one_line, stdout_console
from recode_train.comparing.arms import BASE
from recode_train.comparing.differences import differences
from recode_train.comparing.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import ProblemResult
    from recode_train.comparing.configs import Prepared
    from recode_train.comparing.settings import CompareConfig
    from recode_train.comparing.tuning import Choice

SCHEMA_VERSION: Final = 3
"""2: differences are about methods or about these trainings (`scope`). 3: every two arms are
compared, arms have starts, budgets name their seed; `primary`, `verdict`, `stopped`."""
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
_LEAST: Final = ("CPU s", "passes", "distinct pairs", "tokens trained on", "completions")
"""Columns that a narrow terminal does without, the least important first."""
_VERDICTS: Final = {"up": "more", "down": "less", "same": "not distinguishable", "none": "no test"}
_NOTE: Final = (
    "Means over problems with clustered 95 % intervals. Seeds of an arm are pooled by problem, "
    "their own values are in brackets; N: problems. In the primary metric a verdict is that of "
    "the pair's own test at 5 %; p adjusted by Holm's procedure for the differences of all arms in "
    "it stands beside it. In all others, which are exploratory, the adjusted p decides. With two "
    "seeds or more, a difference is one of methods: interval and p count the variance between "
    "trainings. With one seed it is about these trainings only."
)
_SEEN: Final = "training_library"
"""The tag that tells problems of libraries with training pairs from others."""

_Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True, slots=True)
class Found:
    """What trainings and evaluations came to."""

    runs: Mapping[str, Mapping[str, Sequence[ResultsFile]]]
    """Of all seeds and tasks, by sampling and arm; the last way to sample is the main one."""
    budgets: Mapping[str, Sequence[Mapping[str, Any]]]
    """What every training of an arm has seen and spent."""
    stopped: Sequence[Mapping[str, Any]]
    """Arm, seed and reason of each training without a result."""
    choices: Sequence[Choice]
    prompts: Mapping[str, str]
    """The prompt variant that each task was evaluated on."""


def make(config: CompareConfig, prepared: Prepared, found: Found) -> dict[str, Any]:
    """Return the content of comparison.json (docs/training-compare.md)."""
    evaluations: dict[tuple[str, str], dict[str, list[list[ProblemResult]]]] = {}
    order = {name: place for place, name in enumerate(config.tasks)}
    for sampling in reversed(list(found.runs)):
        stored = [(arm, run) for arm, runs in found.runs[sampling].items() for run in runs]
        for arm, run in sorted(stored, key=lambda item: order[item[1].task]):
            place = evaluations.setdefault((run.task, sampling), {})
            place.setdefault(arm, []).append(run.results.problems)
    compared = differences(evaluations, config.primary, list(found.runs)[-1])
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": config.model,
        "arms": [BASE, *config.trained],
        "labels": {arm.name: arm.label for arm in config.ways},
        "starts": {arm.name: arm.start for arm in config.ways},
        "seeds": list(config.seeds),
        "match": config.match,
        "matched": prepared.matched.text,
        "pairs": len(prepared.matched.pairs),
        "pairs_left_out": prepared.matched.left_out,
        "learning_rates": [choice.as_dict() for choice in found.choices],
        "prompts": dict(found.prompts),
        "budgets": {arm: [dict(item) for item in items] for arm, items in found.budgets.items()},
        "stopped": [dict(item) for item in found.stopped],
        **{
            name: [dataclasses.asdict(item) for item in getattr(compared, name)]
            for name in ("values", "differences", "categories")
        },
    }
    content["verdict"] = verdict(content)
    return json.loads(json.dumps(content))  # type: ignore[no-any-return]  # as it is read again


def markdown(content: Mapping[str, Any]) -> str:
    """Return the content of comparison.md; names are hostile text."""
    parts = [
        f"# {code(content['model'])}, trained in several ways\n\n{_matched(content)}\n\n{_NOTE}\n"
    ]
    for title, (heading, rows) in _tables(content):
        cells = [[code(first), *rest] for first, *rest in rows]
        parts.append(f"\n## {title}\n\n{markdown_table(heading, cells)}")
    parts += [f"\n{text}\n" for text in _last_words(content, code)]
    return "".join(parts)


def show(content: Mapping[str, Any]) -> None:
    """Print all tables but most categories, and the verdict last."""
    console = stdout_console()
    for title, (heading, rows) in _tables(content):
        if ", by " in title and _SEEN.replace("_", " ") not in title:
            continue
        console.print(title.replace("`", ""), style="bold", soft_wrap=True)
        cells = [[one_line(cell) for cell in row] for row in rows]
        print_table(console, heading, cells, optional=_LEAST)
        console.print()
    console.print(_matched(content), soft_wrap=True)
    console.print(_NOTE, soft_wrap=True)
    for text in _last_words(content, one_line):
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _last_words(content: Mapping[str, Any], shown: Callable[[str], str]) -> list[str]:
    """Return the verdict, and before it what it does not rest on."""
    texts = [
        f"Without a result: {shown(item['arm'])}, seed {item['seed']}: {shown(item['reason'])}"
        for item in content["stopped"]
    ]
    texts += [
        f"The learning rate of {shown(item['arm'])}, {item['chosen']:g}, is at the edge of those "
        "tried; a wider choice may do better."
        for item in content["learning_rates"]
        if item["at_edge"]
    ]
    return [*texts, content["verdict"]] if content["verdict"] else texts


def _matched(content: Mapping[str, Any]) -> str:
    """Say what the arms have in common."""
    left_out = content["pairs_left_out"]
    more = f" {left_out:,} pairs are too long for an arm and left out of all." if left_out else ""
    return f"Matched by {content['matched']}.{more} A training counts without that of its start."


def _tables(content: Mapping[str, Any]) -> Iterator[tuple[str, _Table]]:
    yield "Budgets", _budgets(content)
    if content["learning_rates"]:
        yield "Learning rates tried", _rates(content)
    keys = ("task", "sampling", "metric")
    for task, sampling, metric in dict.fromkeys(
        tuple(item[key] for key in keys) for item in content["values"]
    ):
        title = f"{code(task)}, {sampling}: {label(metric)}"
        yield title, _values(content, task, sampling, metric)
        if any(_is_of(item, task, sampling, metric) and item["primary"]
               for item in content["differences"]):  # fmt: skip
            yield f"{title}, every two arms", _pairs(content, task, sampling, metric)
    for task, sampling, metric, tag in dict.fromkeys(
        tuple(item[key] for key in (*keys, "tag")) for item in content["categories"]
    ):
        title = f"{code(task)}, {sampling}: {label(metric)}, by {code(tag.replace('_', ' '))}"
        yield title, _categories(content, task, sampling, tag)


def _is_of(item: Mapping[str, Any], task: str, sampling: str, metric: str) -> bool:
    return (item["task"], item["sampling"], item["metric"]) == (task, sampling, metric)


def _budgets(content: Mapping[str, Any]) -> _Table:
    rows = []
    for arm, items in content["budgets"].items():
        for item in items:
            cells = [_number(name, item.get(name)) for name in _BUDGETS]
            start = content["starts"].get(arm, BASE)
            after = "" if start == BASE else f" after {start}"
            rate = f"{item['learning_rate']:g}"
            rows.append([f"{arm}{after}, seed {item['seed']}", *cells, rate])
    return ["training", *_BUDGETS.values(), "learning rate"], rows


def _rates(content: Mapping[str, Any]) -> _Table:
    rows = []
    for choice in content["learning_rates"]:
        for item in choice["tried"]:
            figure = None if item["value"] is None else item
            rows.append([
                choice["arm"],
                f"{item['learning_rate']:g}",
                format_estimate(choice["metric"], figure),
                "taken" if item["learning_rate"] == choice["chosen"] else "",
            ])  # fmt: skip
    first = content["learning_rates"][0]
    what = f"{label(first['metric'])} on {code(first['task'])}, {first['sampling']}"
    return ["arm", "learning rate", f"{what}, seed {first['seed']}", ""], rows


def _number(name: str, figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.2f}" if name == "passes" else f"{figure:,.0f}"


def _values(content: Mapping[str, Any], task: str, sampling: str, metric: str) -> _Table:
    changes = {
        item["arm"]: item["change"]
        for item in content["differences"]
        if _is_of(item, task, sampling, metric) and item["reference"] == BASE
    }
    rows = []
    for item in content["values"]:
        if not _is_of(item, task, sampling, metric):
            continue
        text = format_estimate(metric, item["estimate"])
        if len(item["seeds"]) > 1:
            text += f" ({', '.join(value_text(metric, value) for value in item['seeds'])})"
        count = "-" if item["estimate"] is None else str(item["estimate"]["problems"])
        rows.append([item["arm"], text, count, _change(metric, changes.get(item["arm"]))])
    return ["arm", label(metric), "N", f"against {BASE}"], rows


def _pairs(content: Mapping[str, Any], task: str, sampling: str, metric: str) -> _Table:
    rows = [
        [f"{item['arm']} - {item['reference']}", _change(metric, item["change"])]
        for item in content["differences"]
        if _is_of(item, task, sampling, metric) and item["primary"]
    ]
    return ["arms", "difference"], rows


def _change(metric: str, content: Mapping[str, Any] | None) -> str:
    if content is None:
        return "-"
    change = Change(**content)
    shown = metric_of(metric)
    interval = shown.show_interval(change.low, change.high, sign=True)
    value = f"{shown.show(change.value, sign=True)} {interval}".rstrip()
    about = f" ({change.scope})" if change.trainings else ""
    return f"{value}, {change.p_words}: {_VERDICTS[change.verdict]}{about}"


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
