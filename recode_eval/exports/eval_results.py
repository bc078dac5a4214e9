"""The hub's `.eval_results/*.yaml`: one value per benchmark, shown on the model's page.

An entry has one number and a free note; the interval and the settings go into the note.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from recode_eval.errors import UsageError
from recode_eval.exports.common import Document, all_facts, one_model, primary, settings_text
from recode_eval.run.report import format_estimate
from recode_eval.run.results import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.exports.common import About, ExportedMetric, RunFacts
    from recode_eval.run.results_file import ResultsFile

_DECIMALS = 6


def documents(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return one file with an entry per task; see `exports.documents`."""
    found = all_facts(runs, about)
    one_model(found, "A model's repository")
    entries = [_entry(item, about) for item in found]
    return [Document(".eval_results/recode-eval.yaml", yaml.safe_dump(entries, sort_keys=False))]


def _entry(item: RunFacts, about: About) -> dict[str, Any]:
    if not item.dataset_id:
        raise UsageError(
            f"An entry must name a data set of the hub, but the rows of {item.task} did not come "
            "from one: give --dataset-id OWNER/NAME."
        )
    metric = primary(item, about)
    value = round(metric.value * (100 if about.percent else 1), _DECIMALS)
    entry: dict[str, Any] = {
        "dataset": {"id": item.dataset_id, "task_id": about.task_id or item.task},
        "value": value,
        "date": item.created.isoformat(),
        "notes": _notes(item, metric),
    }
    if about.source_url:
        name = about.source_name or f"recode-eval {item.harness}"
        entry["source"] = {"url": about.source_url, "name": name}
    return entry


def _notes(item: RunFacts, metric: ExportedMetric) -> str:
    estimate = asdict(metric)
    shown = f"{metric.name} {format_estimate(metric.name, estimate)}"
    if metric.low is not None:
        shown += f" ({100 * CONFIDENCE:g} % interval over {metric.clusters} clusters)"
    return f"{shown}; {settings_text(item)}; recode-eval {item.harness}"
