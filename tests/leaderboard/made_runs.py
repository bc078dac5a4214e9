"""Runs for tests of the leaderboard: real records and results of invented answers, no sandbox.

The files are written by the harness's own store, so that they are what runs leave behind.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from recode_eval.conversations.journal import Answered, Call, Checked, ToolUsed, to_line
from recode_eval.conversations.settings import ConversationSettings
from recode_eval.models.base import ModelInfo, SamplingParameters
from recode_eval.run.evaluation import Run, RunData
from recode_eval.run.manifest import manifest_of
from recode_eval.run.progress import create_monitor
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.provenance import sandbox_json
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.results import compute_results
from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
from recode_eval.run.store import RESULTS, RunStore, write_json
from recode_eval.sandbox.base import SandboxInfo
from recode_eval.scoring.similarity import similarity_scores
from recode_eval.tasks.registry import create_task

CREATED = "2026-03-04T05:06:07+00:00"


def make_run(
    out: Path,
    name: str,
    chance: float,
    *,
    n: int = 4,
    task_name: str = "arena-mini",
    temperature: float = 0.8,
    texts: list[str] | None = None,
    unscored: int = 0,
    created: str = CREATED,
    backend: str = "replay",
    faulty: str | None = None,
    rows: Path | None = None,
    identity: dict[str, Any] | None = None,
    seed: int = 0,
    isolation: str = "program",
    unsplit: int = 0,
    update_note: bool = True,
    conversation: ConversationSettings | None = None,
) -> Path:
    """Write a run whose samples pass with `chance`; `texts` are worked into its answers.

    The first `unsplit` samples of the first problem share a process with their tests.
    """
    task = create_task(task_name)
    data = task.load(str(rows) if rows else None, skip_bad_rows=False)
    spec = task.spec.prompts[task.spec.default_prompt]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    identity = identity or {"sha256": digest}
    run = Run(
        task, data, ModelInfo(name, backend, identity),
        PromptSettings(spec.name, PromptTemplate.from_file(spec.path), "own",
                       update_note=update_note),
        SamplingParameters(temperature=temperature, top_p=0.95, max_tokens=1024, seed=seed),
        Selection(n), ScoringSettings(isolation=isolation), out=out,
        monitor=create_monitor(quiet=True), conversation=conversation,
    )  # fmt: skip
    luck = random.Random(digest)
    texts = texts or [""]
    scoring = run.scoring.hash(task, data)
    completions, scores = {}, {}
    with RunStore(run.folder) as store:
        manifest = manifest_of(run, store.manifest(), working=True)
        manifest["sandbox"] = sandbox_json(SandboxInfo("made", ("none",), isolation, 1, "3"), None)
        manifest["created"] = created
        manifest["invocations"] = [{"started": created, "command": ["recode-eval", *texts],
                                    "recode_eval": "0.1.0", "git_commit": None, "python": "3",
                                    "platform": texts[0], "cpus": 1, "packages": {}}]  # fmt: skip
        for index, (problem_id, sample) in enumerate(run.keys):
            problem = next(p for p in run.problems if p.id == problem_id)
            extra = texts[index % len(texts)]
            good = luck.random() < chance
            code = problem.solutions.get("reference" if good else "stale", "pass") + f"\n# {extra}"
            record = CompletionRecord(
                problem_id, sample, 1, run.hashes[problem_id],
                f"{extra}</think>\n<answer>\n```python\n{code}\n```\n</answer>", "stop",
                None, 40 + sample, 0.1, run.prompts[problem_id].prefill,
            )  # fmt: skip
            if conversation is not None:
                record = replace(record, turns=2, tool_calls=1)
                _talk(store, record, extra)
            completions[record.key] = record
            store.add_completion(record)
            if index < unscored:
                continue
            score = ScoreRecord(
                problem_id, sample, record.prompt_hash, record.digest, scoring, "made", "answer",
                "", code, asdict_similarity(code, problem.solutions["reference"]),
                conditions={
                    condition: _condition(good and number == 0, extra, split=index >= unsplit)
                    for number, condition in enumerate(task.conditions)
                },
                flags=[extra] if extra and sample == 0 else [],
                setup_error=faulty if problem_id == run.problems[0].id else None,
            )  # fmt: skip
            scores[score.key] = score
            store.add_score(score)
        store.write_prompt(run.prompt.template.source)
        store.write_manifest(manifest)
    outcome = RunData(run.folder, task, data, run.problems, n, completions, scores, (), manifest)
    results = {**compute_results(outcome), "created": created}
    write_json(run.folder / RESULTS, results)
    return run.folder


def _talk(store: RunStore, record: CompletionRecord, extra: str) -> None:
    """Write a conversation of two turns, with a call in the first, whose texts are `extra`."""
    place: dict[str, Any] = {
        "problem_id": record.problem_id, "sample": record.sample,
        "prompt_hash": record.prompt_hash,
    }  # fmt: skip
    call = Call("c", extra[:200], extra)
    said: dict[str, Any] = {**place, "seed": 1, "finish_reason": "stop", "completion_tokens": 20}
    for entry in (
        Answered(**said, step=0, turn=1, text=extra, calls=(call,), offered=True),
        ToolUsed(**place, step=0, index=0, name=extra[:200], status="ok", text=extra),
        Answered(**said, step=1, turn=1, text=f"first {extra}", offered=True),
        Checked(**place, step=1, ends=False, text=f"told {extra}"),
        Answered(**said, step=2, turn=2, text=record.text, offered=True),
    ):
        store.turns().append(to_line(entry))


def asdict_similarity(code: str, reference: str) -> dict[str, float]:
    found = similarity_scores(code, reference)
    return {key: float(value) for key, value in asdict(found).items()}


def _condition(passed: bool, extra: str, *, split: bool) -> dict[str, Any]:
    tests = [
        ["test_one", "passed", ""],
        ["test_two", "passed" if passed else "failed", "" if passed else f"Error: {extra}"],
    ]
    found: dict[str, Any] = {"passed": passed, "tests": tests, "output": extra, "cpu_s": 0.01}
    if not passed:
        found["lines"] = {"test_two": 2}
    return found if split else {**found, "unsplit": "gave a generator to its tests"}
