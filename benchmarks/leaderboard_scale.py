"""What a large leaderboard costs: build time, memory, sizes, and Chromium's time to paint and sort.

Makes runs of invented answers, all different, in the harness's own files (about 2.5 KB a sample, on
a disk with room for three times as much), builds the site as `recode-eval leaderboard build` does,
and opens it. What the models score is drawn by chance and means nothing.

Run it with `python benchmarks/leaderboard_scale.py [--runs 200] [--problems 1000] [--n 10]`; with
`--keep FOLDER` the runs are kept there and used again. Needs the extras site and dev.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import random
import shutil
import statistics
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

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


def build(runs: Path, rows: Path, site: Path, jobs: int) -> dict[str, Any]:
    """Build in a process of its own and say what it and its children took."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_build, args=(runs, rows, site, jobs, theirs))
    process.start()
    theirs.close()  # so that a child that dies is noticed
    memory = _Memory(process.pid or 0)
    memory.start()
    found = ours.recv()
    process.join()
    memory.over.set()
    return {**found, "peak_rss_mb": memory.rss / 1e6, "peak_pss_mb": memory.pss / 1e6}


def _build(runs: Path, rows: Path, site: Path, jobs: int, results: Any) -> None:
    from recode_eval.leaderboard.site import build as build_site

    def note(text: str) -> None:
        print(f"  {time.perf_counter() - start:7.1f} s  {text}", flush=True)

    start = time.perf_counter()
    built = build_site([runs], site, data={TASK: str(rows)}, note=note, jobs=jobs)
    seconds = time.perf_counter() - start
    spent = os.times()
    results.send(
        {
            "seconds": seconds,
            "cpu_s": spent.user + spent.system + spent.children_user + spent.children_system,
            "runs": built.runs,
            "broken": len(built.broken),
            "pages": built.pages,
        }
    )


class _Memory(threading.Thread):
    """The most that a process and its children hold: the sum of their RSS, and of their PSS.

    RSS counts a page once per process that shares it, PSS only once in all.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self.over = pid, threading.Event()
        self.rss = self.pss = 0

    def run(self) -> None:
        while not self.over.wait(0.5):
            totals = [_held(pid) for pid in [self._pid, *_children(self._pid)]]
            self.rss = max(self.rss, sum(rss for rss, _ in totals))
            self.pss = max(self.pss, sum(pss for _, pss in totals))


def _children(pid: int) -> list[int]:
    try:
        return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _held(pid: int) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return 1024 * int(sizes["Rss"]), 1024 * int(sizes["Pss"])


PAINT = """
const done = arguments[arguments.length - 1];
const look = () => {
  const found = performance.getEntriesByName("first-contentful-paint")[0];
  if (found) done(found.startTime); else setTimeout(look, 5);
};
look();
"""
SORT = """
const done = arguments[arguments.length - 1];
const start = performance.now();
document.querySelector(arguments[0]).click();
requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
"""
OPEN = """
const done = arguments[arguments.length - 1];
const run = document.querySelector("details.run");
const start = performance.now();
const look = () => run.querySelector("details.sample")
  ? done(performance.now() - start) : setTimeout(look, 1);
run.open = true;
look();
"""


def browse(site: Path, repeats: int = 5) -> dict[str, float]:
    """Return median milliseconds to the first paint, of a sort, and until answers are listed."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    # Named here, or Selenium would look for one on the network.
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        problem = sorted((site / "problems").rglob("*.html"))[0]
        paints, sorts, problem_paints, opened = [], [], [], []
        for _ in range(repeats):
            driver.get("about:blank")
            driver.get((site / "index.html").as_uri())
            paints.append(driver.execute_async_script(PAINT))
            button = "#results thead th:nth-child(3) button"
            sorts.append(driver.execute_async_script(SORT, button))
            driver.get("about:blank")
            driver.get(problem.as_uri())
            problem_paints.append(driver.execute_async_script(PAINT))
            opened.append(driver.execute_async_script(OPEN))
    finally:
        driver.quit()
    found = {"overview: first paint": paints, "overview: sort": sorts,
             "problem: first paint": problem_paints, "problem: open a run": opened}  # fmt: skip
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the runs and the site")
    parser.add_argument("--no-browser", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = (arguments.keep or Path(scratch)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        rows = rows_file(place / "rows.jsonl", arguments.problems)
        with ProcessPoolExecutor(arguments.jobs) as pool:
            made = [
                pool.submit(make_run, number, place / "runs", rows, arguments.n)
                for number in range(arguments.runs)
            ]
            for future in made:
                future.result()
        report(place, rows, arguments)


def report(place: Path, rows: Path, arguments: argparse.Namespace) -> None:
    """Build, measure and print."""
    samples = arguments.runs * arguments.problems * arguments.n
    size = sum(path.stat().st_size for path in (place / "runs").rglob("*.*"))
    print(f"{samples:,} samples, {size / 1e6:,.0f} MB; {platform.machine()}, {os.cpu_count()} CPUs")
    found = build(place / "runs", rows, place / "site", arguments.jobs)
    print(f"{found['runs']} runs ({found['broken']} left out), {found['pages']} pages")
    print(f"build: {found['seconds']:.1f} s, {found['cpu_s']:.1f} CPU s "
          f"({1e6 * found['cpu_s'] / samples:.0f} us a sample)")  # fmt: skip
    print(f"memory: {found['peak_pss_mb']:.0f} MB PSS, {found['peak_rss_mb']:.0f} MB RSS in all")
    files = [path for path in (place / "site").rglob("*") if path.is_file()]
    print(f"site: {len(files):,} files, {sum(p.stat().st_size for p in files) / 1e6:,.0f} MB, "
          f"the largest {max(p.stat().st_size for p in files) / 1e6:.2f} MB; overview "
          f"{(place / 'site' / 'index.html').stat().st_size / 1e6:.2f} MB")  # fmt: skip
    if not arguments.no_browser:
        for name, milliseconds in browse(place / "site").items():
            print(f"Chromium, {name}: {milliseconds:.0f} ms")


if __name__ == "__main__":
    main()
