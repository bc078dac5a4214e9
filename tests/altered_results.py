"""A run's results, and the same with one difference for each rule of comparability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from recode_eval.run.results_file import ResultsFile, read_run

change = msgspec.structs.replace


def base_run() -> ResultsFile:
    """Return a run without unscored samples."""
    stored = read_run(Path(__file__).parent / "run" / "results-2026-11.json")
    results = change(stored.results, counts=change(stored.results.counts, unscored=0))
    return ResultsFile("base", results, stored.scores)


def altered(run: ResultsFile, field: str) -> ResultsFile:
    """Return the run with another value of one of the rule's fields."""
    r = run.results
    problems = list(r.problems)
    other: dict[str, Any] = {}
    match field:
        case "task":
            other["task"] = change(r.task, name="other")
        case "task_version":
            other["task"] = change(r.task, version=9)
        case "data":
            other["task"] = change(r.task, data_hash="0" * 64)
        case "problems":
            problems[0] = change(problems[0], id="another")
        case "clusters":
            problems[0] = change(problems[0], cluster="another")
        case "tested":
            problems = [change(p, passed=None) for p in problems]
        case "prompt":
            other["prompt"] = change(r.prompt, hash="0" * 64)
        case "docs":
            other["identity"] = {**r.identity, "docs": {"arm": "signature", "hash": "ab" * 32}}
        case "update_note":
            other["prompt"] = change(r.prompt, update_note=not r.prompt.update_note)
        case "sampling":
            other["sampling"] = change(r.sampling, top_p=0.5, temperature=0.1)
        case "identity":
            other["identity"] = {**r.identity, "tools": ["search"]}
        case "n":
            other["sampling"] = change(r.sampling, n=r.sampling.n + 1)
        case "harness":
            other["invocations"] = [{**r.invocations[-1], "recode_eval": "7.1"}]
        case "isolation":
            other["scoring"] = {**r.scoring, "isolation": "split"}
        case "scoring":
            other["scoring"] = {**r.scoring, "hash": "other"}
        case "unscored":
            other["counts"] = change(r.counts, unscored=1)
        case "faulty":
            problems[0] = change(problems[0], faulty="no set-up")
        case "ungraded":
            problems[0] = change(problems[0], n=0, passed=0, needed_update=0,
                                 passed_without_update=0, no_code=0)  # fmt: skip
        case _:
            other["sandbox"] = {**(r.sandbox or {}), field.partition(".")[2]: "other"}
    results = change(r, problems=problems, **other)
    return ResultsFile(field, results, {p.id: p for p in problems})
