"""Runs for `leaderboard_scale.py`: invented answers, all different, in the harness's own files."""

from __future__ import annotations

import hashlib
import json
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recode_eval.models.base import ModelInfo, SamplingParameters
from recode_eval.run.evaluation import Run, RunData
from recode_eval.run.manifest import manifest_of
from recode_eval.run.progress import SilentMonitor
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.results import compute_results
from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
from recode_eval.run.store import COMPLETIONS, MANIFEST, RESULTS, SCORES, write_json
from recode_eval.sandbox.base import SandboxInfo
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from pathlib import Path

TASK = "arena"
PER_UPDATE = 4
TESTS = 4
CREATED = "2026-01-01T00:00:00+00:00"


def rows_file(path: Path, count: int) -> Path:
    """Write rows in the schema of the arena, four per update."""
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            update = f"[textwrap.dedent]:[add-argument]:[update-{index // PER_UPDATE}]"
            kind = ("add-argument", "add-argument-semantics")[index // PER_UPDATE % 2]
            row = {
                "update": {
                    "description": f"Number {index // PER_UPDATE}: a new argument `times`.",
                    "rationale": "Repeating text is common.",
                    "docstring": "`times` (default 1) repeats the text. " * 5,
                    "signature": "textwrap.dedent(text, times=1)",
                    "imports": "import textwrap\nold_dedent = textwrap.dedent",
                    "implementation": "def dedent(text, times=1):\n    return old_dedent(text)\n",
                    "unit_tests": "def test_once():\n    assert textwrap.dedent('a') == 'a'\n",
                    "update_type": kind,
                    "function_path": "textwrap.dedent",
                    "package": "textwrap",
                    "update_id": update,
                },
                "update_id": update,
                "scenario": "Somebody wants a text more than once, without its indentation.",
                "problem": f"Write a function that says it twice (number {index}).",
                "solution_signature": "def f(x: str) -> str:",
                "unit_tests": "\n\n".join(
                    f"def test_{k}():\n    assert f('{k}') == '{k}{k}'" for k in range(TESTS)
                ),
                "imports": "import textwrap\nold_dedent = textwrap.dedent",
                "ref_solution": answer(0, index),
                "stale_solution": answer(1, index),
                "prog_syn_id": f"{update}:[prog_syn-{index}]",
            }
            file.write(json.dumps(row) + "\n")
    return path


def answer(seed: int, index: int) -> str:
    """Return some 20 lines of code, different for every pair of numbers."""
    return f'''import textwrap


def f(x: str) -> str:
    """Return the text twice; way {seed} for problem {index}."""
    lines = []
    for number, line in enumerate(x.splitlines()):
        if number > {seed % 97} and not line.strip():
            continue  # nothing but white space
        lines.append(line.rstrip())
    text = "\\n".join(lines) or x
    try:
        return textwrap.dedent(text, times=2)
    except TypeError as error:
        print("attempt {seed}-{index}", error)
        raise ValueError("cannot repeat") from error
'''


def make_runs(numbers: range, out: Path, rows: Path, n: int, jobs: int) -> None:
    """Write the runs that are not there yet."""
    with ProcessPoolExecutor(jobs) as pool:
        for future in [pool.submit(make_run, number, out, rows, n) for number in numbers]:
            future.result()


def make_run(number: int, out: Path, rows: Path, n: int) -> None:
    """Write one run; models differ in strength by little, as on a real board."""
    luck = random.Random(number)
    task = create_task(TASK)
    data = task.load(str(rows), skip_bad_rows=False)
    variant = task.spec.prompts[task.spec.default_prompt]
    name = f"Model-{number}-{(1, 3, 7, 14, 32)[number % 5]}B"
    run = Run(
        task, data, ModelInfo(name, "vllm", {"sha256": hashlib.sha256(name.encode()).hexdigest()}),
        PromptSettings(variant.name, PromptTemplate.from_file(variant.path), "own"),
        SamplingParameters(temperature=0.8, top_p=0.95, max_tokens=1024, seed=0),
        Selection(n), ScoringSettings(), out=out, monitor=SilentMonitor(),
    )  # fmt: skip
    if (run.folder / RESULTS).exists():
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    invocation = {"started": CREATED, "command": ["recode-eval"], "recode_eval": "0.1.0",
                  "git_commit": None, "python": "3.11", "platform": "Linux", "cpus": 2,
                  "packages": {}}  # fmt: skip
    info = SandboxInfo("docker", ("none",), "program", 2, "3.11")
    sandbox = {**asdict(info), "libraries": {}, "guarantees": [], "environments": {}}
    before = {"created": CREATED, "sandbox": sandbox, "invocations": [invocation]}
    manifest = manifest_of(run, before, working=False)
    strength = 0.3 + 0.4 * luck.random()
    hardness = [random.Random(index).gauss(0, 0.2) for index in range(len(run.problems))]
    completions, scores = {}, {}
    for index, problem in enumerate(run.problems):
        for sample in range(n):
            seed = number * 1_000 + sample
            completion = _completion(run, problem.id, sample, seed, index)
            good = luck.random() < strength + hardness[index]
            completions[completion.key] = completion
            scores[completion.key] = _score(run.scoring_hash, completion, good, seed, index)
    for path, records in ((COMPLETIONS, completions), (SCORES, scores)):
        with (run.folder / path).open("w", encoding="ascii") as file:
            file.writelines(
                json.dumps(record.to_json(), separators=(",", ":")) + "\n"
                for record in records.values()
            )
    write_json(run.folder / MANIFEST, manifest)
    found = RunData(run.folder, task, data, run.problems, n, completions, scores, (), manifest)
    write_json(run.folder / RESULTS, {**compute_results(found), "created": CREATED})


def _completion(run: Run, problem: str, sample: int, seed: int, index: int) -> CompletionRecord:
    thought = f"The update number {seed} changes an argument, so the new one is needed. " * 4
    text = f"{thought}</think>\n<answer>\n```python\n{answer(seed, index)}```\n</answer>"
    prefill = run.prompts[problem].prefill
    return CompletionRecord(
        problem, sample, seed, run.hashes[problem], text, "stop", 600, 250, 1.5, prefill
    )


def _score(
    scoring: str, completion: CompletionRecord, good: bool, seed: int, index: int
) -> ScoreRecord:
    code = answer(seed, index)
    similarity = {"es": 0.5 + seed % 50 / 100, "em": 0.0, "es_star": 0.1, "em_star": 0.0}
    conditions = {
        "with_update": _condition(good, seed),
        "without_update": _condition(False, seed),
    }
    return ScoreRecord(
        completion.problem_id, completion.sample, completion.prompt_hash, completion.digest,
        scoring, "docker", "answer", "", code, similarity, conditions, 10.0,
    )  # fmt: skip


def _condition(good: bool, seed: int) -> dict[str, Any]:
    """A failure has a message of its own, as real ones do."""
    detail = "" if good else f"AssertionError: assert f('a') == 'aa' where f('a') = {seed % 9973}"
    status = "passed" if good else "failed"
    tests = [[f"test_{k}", status if k else "passed", detail if k else ""] for k in range(TESTS)]
    return {"passed": good, "tests": tests, "output": "", "cpu_s": 0.01 + seed % 7 / 100}
