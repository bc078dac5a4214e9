"""Every Eval Ever, schema 0.2.2: a JSON file per run, in the folders of its data store.

It has a place for intervals and standard errors; the number of clusters goes into the free details.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from recode_eval.exports.common import Document, all_facts, piece
from recode_eval.metrics import label
from recode_eval.run.results import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.exports.common import About, ExportedMetric, RunFacts
    from recode_eval.run.results_file import ResultsFile

SCHEMA = "0.2.2"
_PLATFORMS = frozenset({"openai"})
"""Back-ends that ask a server; the others run the model themselves."""
_NO_MODEL = frozenset({"replay", "baseline"})


def documents(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return a file per run; the same run and time give the same name. See `exports.documents`."""
    return [
        Document(_path(item), json.dumps(_content(item, about), indent=2) + "\n")
        for item in all_facts(runs, about)
    ]


def _path(item: RunFacts) -> str:
    developer, _, name = item.model.rpartition("/")
    key = f"{item.run} {item.model} {item.created.isoformat()}".encode()
    number = uuid.UUID(bytes=hashlib.sha256(key).digest()[:16], version=4)
    return f"data/{piece(item.task)}/{piece(developer or 'unknown')}/{piece(name)}/{number}.json"


def _content(item: RunFacts, about: About) -> dict[str, Any]:
    seconds = str(item.created.timestamp())
    source = {
        "source_name": about.source_name or "recode-eval",
        "source_type": "evaluation_run",
        "source_organization_name": about.organization or "unknown",
        "evaluator_relationship": about.relationship,
    }
    if about.source_url:
        source["source_organization_url"] = about.source_url
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{item.task}-{item.run}/{item.model}/{seconds}",
        "evaluation_timestamp": item.created.isoformat(),
        "retrieved_timestamp": seconds,
        "source_metadata": source,
        "eval_library": {
            "name": "recode-eval",
            "version": item.harness,
            "additional_details": {
                "run": item.run,
                "task_version": str(item.task_version),
                "data_hash": item.data_hash,
                "prompt_hash": item.prompt_hash,
                "sandbox": item.tier or "unknown",
            },
        },
        "model_info": _model(item),
        "evaluation_results": [_result(item, metric) for metric in item.metrics],
    }


def _model(item: RunFacts) -> dict[str, Any]:
    developer, _, _ = item.model.rpartition("/")
    local = item.backend not in _PLATFORMS | _NO_MODEL
    details = {
        "deployment_type": "self_deployed" if local else "unknown",
        "model_availability": "unknown",
        "backend": item.backend,
    }
    model: dict[str, Any] = {"name": item.model, "id": item.model}
    if developer:
        model["developer"] = developer
    if local:
        version = item.engine_version or "unknown"
        model["inference_engine"] = {"name": item.backend, "version": version}
    return {**model, "additional_details": details}


def _result(item: RunFacts, metric: ExportedMetric) -> dict[str, Any]:
    low, high = metric.bounds
    config: dict[str, Any] = {
        "evaluation_description": f"{label(metric.name)} on {item.task}, mean over its problems",
        "metric_id": f"recode_eval.{metric.name}",
        "metric_name": label(metric.name),
        "metric_unit": "points" if low < 0 else "proportion",
        "lower_is_better": metric.lower_is_better,
        "score_type": "continuous",
        "min_score": low,
        "max_score": high,
    }
    if metric.k is not None:
        config["metric_kind"] = "pass_rate"
        config["metric_parameters"] = {"k": metric.k, "n": item.n}
    if metric.name == f"pass@{metric.k}":  # The schema knows this family by a name of its own.
        config["metric_id"] = "pass_at_k"
    return {
        "evaluation_result_id": f"{item.run}/{metric.name}",
        "evaluation_name": item.task,
        "source_data": _source(item),
        "evaluation_timestamp": item.created.isoformat(),
        "metric_config": config,
        "score_details": _score(metric),
        "generation_config": {
            "generation_args": {
                name: value for name, value in item.settings.items() if name != "n"
            },
            "additional_details": {
                "samples_per_problem": str(item.n),
                **({} if "seed" in item.unsaid else {"seed": str(item.seed)}),
                "prompt": item.prompt,
            },
        },
    }


def _source(item: RunFacts) -> dict[str, Any]:
    if item.dataset_id:
        return {
            "dataset_name": item.task,
            "source_type": "hf_dataset",
            "hf_repo": item.dataset_id,
        }
    return {
        "dataset_name": item.task,
        "source_type": "other",
        "source_id": item.data_hash,
        "source_version": str(item.task_version),
    }


def _score(metric: ExportedMetric) -> dict[str, Any]:
    uncertainty: dict[str, Any] = {"num_samples": metric.problems}
    if metric.standard_error is not None:
        uncertainty["standard_error"] = {
            "value": metric.standard_error,
            "method": "analytic, by clusters",
        }
    if metric.low is not None and metric.high is not None:
        uncertainty["confidence_interval"] = {
            "lower": metric.low,
            "upper": metric.high,
            "confidence_level": CONFIDENCE,
            "method": metric.method,
        }
    return {
        "score": metric.value,
        "details": {"problems": str(metric.problems), "clusters": str(metric.clusters)},
        "uncertainty": uncertainty,
    }
