"""Logs of lm-eval (https://github.com/EleutherAI/lm-evaluation-harness): `samples_*.jsonl`.

Written with `--log_samples` beside `results_*.json`, which names model and settings. Tried with
lm-eval 0.4.13. A task with several filters has a line a sample and filter; the first filter counts,
as the others judge the same answer once more.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError
from recode_eval.run.foreign.log import (
    MOST_SAMPLES,
    ForeignLog,
    ForeignSample,
    comparable_scores,
    count_of,
    digest,
    mapping,
    name_of,
    number_of,
    score_of,
    sequence,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOL: Final = "lm_eval"
NAME: Final = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
_LARGEST_RESULTS: Final = 256 << 20
_LONGEST_LINE: Final = 64 << 20
_HASH: Final = re.compile(r"[0-9a-f]{16,64}")


def read_samples(path: Path, source: str) -> ForeignLog:
    """Read a file of samples and the results beside it; raises `DataError`."""
    named = NAME.fullmatch(path.name)
    if named is None:
        raise DataError(f"{source} is not named like lm-eval's samples_TASK_TIME.jsonl.")
    results = _results(path, named["time"])
    task = named["task"]
    lines = list(_lines(path, source))
    if not lines:
        raise DataError(f"{source} is empty.")
    filters = list(dict.fromkeys(text_of(line.get("filter")) for line in lines))
    kept = [line for line in lines if text_of(line.get("filter")) == filters[0]]
    metrics = list(dict.fromkeys(str(m) for line in kept for m in sequence(line.get("metrics"))))
    directions = mapping(mapping(results.get("higher_is_better")).get(task))
    samples, left_out = comparable_scores(
        (_sample(line, metrics, source) for line in kept),
        [name for name, higher in directions.items() if higher is False],
    )
    config = mapping(mapping(results.get("configs")).get(task))
    run = mapping(results.get("config"))
    generate = {**mapping(config.get("generation_kwargs")), **mapping(run.get("gen_kwargs"))}
    greedy = generate.get("do_sample") is False
    return ForeignLog(
        tool=TOOL,
        version=text_of(results.get("lm_eval_version")) or "unknown",
        created=_time(results.get("date")),
        task=name_of(task, "the task", source),
        task_version=int(number_of(mapping(results.get("versions")).get(task)) or 0),
        dataset=text_of(config.get("dataset_path")) or task,
        model=_model(results, run, path),
        model_identity={
            "model": text_of(run.get("model")),
            "model_args": digest(run.get("model_args"))[:16],
            "name": text_of(results.get("model_name")),
        },
        prompt=[
            mapping(results.get("n-shot")).get(task),
            config.get("doc_to_text"),
            config.get("description"),
            results.get("chat_template_sha"),
            results.get("system_instruction_sha"),
            generate.get("until"),
        ],
        grading=[filters[0], config.get("metric_list") or metrics, config.get("process_results")],
        headline=next((m for m in metrics if any(m in s.scores for s in samples)), ""),
        epochs=1,
        samples=samples,
        temperature=0.0 if greedy else number_of(generate.get("temperature")),
        top_p=number_of(generate.get("top_p")),
        max_tokens=count_of(generate.get("max_gen_toks")),
        cautions=[
            *_cautions(results, filters, config, mapping(results.get("n-samples")).get(task),
                       len(samples)),
            *left_out,
        ],
    )  # fmt: skip


def _cautions(
    results: dict[str, Any], filters: list[str], config: dict[str, Any], counts: Any, found: int
) -> list[str]:
    told = []
    if not results:
        told.append("no results_*.json lies beside it: model and settings are not known")
    if len(filters) > 1:
        told.append(f"of the filters {', '.join(filters)[:200]} the first one counts")
    if (count_of(config.get("repeats")) or 1) > 1:
        told.append(
            "lm-eval scores the first of its repeats, or all of them at once: they are no samples"
        )
    effective = count_of(mapping(counts).get("effective"))
    if effective is not None and effective != found:
        told.append(f"of {effective} samples, {found} are there")
    return told


def _results(path: Path, time: str) -> dict[str, Any]:
    beside = path.with_name(f"results_{time}.json")
    try:
        if beside.is_symlink() or not beside.is_file():
            return {}
        if beside.stat().st_size > _LARGEST_RESULTS:
            raise DataError(f"{beside.name} is too large for lm-eval's results.")
        return mapping(json.loads(beside.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{beside.name}, beside the samples, is damaged ({error}).") from error


def _lines(path: Path, source: str) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE or number > MOST_SAMPLES:
                    raise DataError(f"{source}, line {number}: too much for a log of samples.")
                if not line.strip():
                    continue
                content = json.loads(line)
                if not isinstance(content, dict) or "doc_id" not in content:
                    raise DataError(f"{source}, line {number} is no sample of lm-eval.")
                yield content
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} is damaged ({error}).") from error


def _sample(line: dict[str, Any], metrics: list[str], source: str) -> ForeignSample:
    stated = text_of(line.get("doc_hash"))
    content = stated if _HASH.fullmatch(stated) else digest([line.get("doc"), line.get("target")])
    read = {name: score_of(line.get(name)) for name in metrics}
    scores = {name: number for name, number in read.items() if number is not None}
    cluster = mapping(line.get("doc")).get("cluster")
    answers = sequence(line.get("filtered_resps"))
    return ForeignSample(
        id=name_of(line.get("doc_id"), "doc_id", source),
        content=content,
        epoch=0,  # lm-eval writes a line a sample, whatever its repeats
        scores=scores,
        text=answers[0] if answers and isinstance(answers[0], str) else "",
        error="" if scores else "it has no score",
        cluster=str(cluster)[:300] if isinstance(cluster, str | int) else None,
    )


def _model(results: dict[str, Any], run: dict[str, Any], path: Path) -> str:
    for value in (results.get("model_name"), run.get("model"), path.parent.name):
        if isinstance(value, str) and value:
            return value[:300]
    return "unknown"


def _time(value: object) -> str:
    try:
        return datetime.fromtimestamp(float(value), UTC).isoformat(timespec="seconds")  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return "unknown"
