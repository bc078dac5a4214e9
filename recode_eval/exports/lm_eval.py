"""The layout of lm-evaluation-harness: `MODEL/results_TIME.json`, a file per model.

Metrics carry a standard error and no interval; the error here is the one by clusters.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError
from recode_eval.exports.common import Document, all_facts, one_model, piece

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.exports.common import About, RunFacts
    from recode_eval.run.results_file import ResultsFile

_FILTER = "none"


def documents(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return one file for all tasks of a model; see `exports.documents`.

    Raises `UsageError` also where the runs differ in their settings: there is one place for them.
    """
    found = all_facts(runs, about)
    name = one_model(found, "A results file of lm-evaluation-harness")
    if len({tuple(_arguments(item).items()) for item in found}) > 1:
        raise UsageError(
            "These runs have different sampling settings, but a results file of "
            "lm-evaluation-harness holds one set. Export each by itself."
        )
    last = max(item.created for item in found)
    stamp = last.replace(tzinfo=None).isoformat().replace(":", "-")
    text = json.dumps(_content(found, name), indent=2) + "\n"
    return [Document(f"{_sanitized(name)}/results_{stamp}.json", text)]


def _content(found: Sequence[RunFacts], name: str) -> dict[str, Any]:
    def by_task(value: Callable[[RunFacts], Any]) -> dict[str, Any]:
        return {item.task: value(item) for item in found}

    first = found[0]
    return {
        "results": by_task(_metrics),
        "group_subtasks": by_task(lambda _: []),
        "configs": by_task(_config),
        "versions": by_task(lambda item: item.task_version),
        "n-shot": by_task(lambda _: 0),
        "higher_is_better": by_task(
            lambda item: {metric.name: not metric.lower_is_better for metric in item.metrics}
        ),
        "n-samples": by_task(lambda item: {"original": item.problems, "effective": _graded(item)}),
        "config": {
            "model": first.backend,
            "model_args": f"pretrained={name}",
            "gen_kwargs": _arguments(first),
            "limit": None,
        },
        "date": first.created.timestamp(),
        "model_source": first.backend,
        "model_name": name,
        "model_name_sanitized": _sanitized(name),
        "task_hashes": by_task(lambda item: item.data_hash),
    }


def _metrics(item: RunFacts) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": item.task,
        "alias": item.task,
        "sample_len": _graded(item),
    }
    for metric in item.metrics:
        error = metric.standard_error
        values[f"{metric.name},{_FILTER}"] = metric.value
        values[f"{metric.name}_stderr,{_FILTER}"] = "N/A" if error is None else error
    return values


def _config(item: RunFacts) -> dict[str, Any]:
    return {
        "task": item.task,
        "dataset_path": item.dataset_id or None,
        "output_type": "generate_until",
        "repeats": item.n,
        "num_fewshot": 0,
        "generation_kwargs": _arguments(item),
        "metadata": {
            "version": item.task_version,
            "evaluated_by": f"recode-eval {item.harness}",
            "run": item.run,
            "data_hash": item.data_hash,
            "prompt_hash": item.prompt_hash,
        },
    }


def _arguments(item: RunFacts) -> dict[str, Any]:
    known = dict(item.settings)
    known.pop("n")
    if "temperature" in known:
        known = {"do_sample": item.temperature > 0, **known}
    if "max_tokens" in known:
        known["max_gen_toks"] = known.pop("max_tokens")
    return known


def _sanitized(name: str) -> str:
    """Return the model's folder: as that program makes it, and harmless for any name."""
    return piece(re.sub(r'["<>:/|\\?*\[\]]+', "__", name))


def _graded(item: RunFacts) -> int:
    return max(metric.problems for metric in item.metrics)
