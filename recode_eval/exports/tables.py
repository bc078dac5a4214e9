"""CSV: a row per metric, per problem or per sample.

A spreadsheet takes a cell that begins with `=` for a formula, and the names of models and problems
come from strangers: such text gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError
from recode_eval.exports.common import Document, all_facts
from recode_eval.metrics import similarity_names
from recode_eval.run.results import CONFIDENCE
from recode_eval.run.store import RESULTS
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recode_eval.exports.common import About, RunFacts
    from recode_eval.leaderboard.loading import Sample
    from recode_eval.run.results_file import ResultsFile

TABLES = ("metrics", "problems", "samples")
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Row = dict[str, object]


def documents(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return the table that was asked for; see `exports.documents`."""
    found = all_facts(runs, about)
    makers = {"metrics": _metric_rows, "problems": _problem_rows, "samples": _sample_rows}
    rows = [row for pair in zip(runs, found, strict=True) for row in makers[about.table](*pair)]
    return [Document(f"{about.table}.csv", _csv(rows))]


def _csv(rows: Sequence[Row]) -> str:
    """Return CSV with all columns that any row has, in the order of their first use."""
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(name) for name in columns])
    writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()


def cell(value: object) -> str:
    """Return what stands in a cell: nothing for None, 1 and 0 for booleans, harmless text."""
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case int() | float():
            return str(value)
        case _:
            text = one_line(value, 2_000)
            return f"'{text}" if text.startswith(_FORMULA) else text


def _named(item: RunFacts) -> Row:
    return {"model": item.model, "task": item.task, "run": item.run}


def _metric_rows(run: ResultsFile, item: RunFacts) -> Iterator[Row]:
    del run
    for metric in item.metrics:
        yield {
            **_named(item),
            "metric": metric.name,
            "value": metric.value,
            "low": metric.low,
            "high": metric.high,
            "confidence": CONFIDENCE,
            "standard_error": metric.standard_error,
            "method": metric.method,
            "problems": metric.problems,
            "clusters": metric.clusters,
            **item.settings,
        }


def _problem_rows(run: ResultsFile, item: RunFacts) -> Iterator[Row]:
    values = {metric.name: run.values(metric.name) for metric in item.metrics}
    for key, score in run.scores.items():
        yield {
            **_named(item),
            "problem": key,
            "cluster": score.cluster,
            **{f"tag {name}": value for name, value in score.tags.items()},
            "samples": score.n,
            "passed": score.passed,
            "passed_without_update": score.passed_without_update,
            **{name: by_problem.get(key) for name, by_problem in values.items()},
            "faulty": score.faulty,
        }


def _sample_rows(run: ResultsFile, item: RunFacts) -> Iterator[Row]:
    from recode_eval.leaderboard.loading import load_run

    file = Path(run.source)
    if file.name != RESULTS or not file.with_name("scores.jsonl").exists():
        raise UsageError(
            f"The samples of {run.source} are in the run's folder, which was not given. Name the "
            "folder, or choose another --table."
        )
    entry = load_run(file.parent, str(file.parent))
    for problem in run.scores:
        for sample in entry.samples(problem):
            yield {**_named(item), **_sample_row(sample)}


def _sample_row(sample: Sample) -> Row:
    completion, score = sample.completion, sample.score
    row: Row = {
        "problem": completion.problem_id,
        "sample": completion.sample,
        "seed": completion.seed,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "graded": score is not None and score.setup_error is None,
    }
    if score is None:
        return row
    row |= {"extraction": score.extraction, "code_found": score.code is not None}
    for name, condition in score.conditions.items():
        row |= {name: bool(condition.get("passed")), f"tests {name}": _tests(condition["tests"])}
    row |= {name: score.similarity.get(name) for name in similarity_names()}
    return row | {"flags": "; ".join(map(str, score.flags)), "faulty": score.setup_error}


def _tests(tests: Iterable[Sequence[Any]]) -> str:
    """Return `3 of 5`."""
    statuses = [test[1] for test in tests]
    return f"{statuses.count('passed')} of {len(statuses)}"
