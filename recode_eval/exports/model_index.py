"""The `model-index` of a model card: YAML for the front matter of a README.md on the hub.

The format has no place for an interval or for clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from recode_eval.exports.common import Document, all_facts, one_model
from recode_eval.metrics import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.exports.common import About, ExportedMetric, RunFacts
    from recode_eval.run.results_file import ResultsFile


def documents(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return one file for all tasks of a model; see `exports.documents`."""
    found = all_facts(runs, about)
    name = one_model(found, "A model card")
    content = {"model-index": [{"name": name, "results": [_result(x, about) for x in found]}]}
    return [Document("model-index.yaml", yaml.safe_dump(content, sort_keys=False))]


def _result(item: RunFacts, about: About) -> dict[str, Any]:
    result: dict[str, Any] = {
        "task": {"type": "text-generation", "name": "Code generation"},
        "dataset": {"type": item.dataset_id or item.task, "name": item.task},
        "metrics": [_metric(item, metric) for metric in item.metrics],
    }
    if about.source_url:
        name = about.source_name or f"recode-eval {item.harness}"
        result["source"] = {"name": name, "url": about.source_url}
    return result


def _metric(item: RunFacts, metric: ExportedMetric) -> dict[str, Any]:
    return {
        "type": metric.name,
        "value": metric.value,
        "name": label(metric.name),
        "args": item.settings,
    }
