"""What a large leaderboard costs: build time, memory, sizes, and Chromium's time to paint and sort.

Makes runs of invented answers, all different, in the harness's own files (about 2.5 KB a sample, on
a disk with room for four times as much), builds the site as `recode-eval leaderboard build` does,
opens it, and builds it again after one more run. With `--against COMMIT` the code of an earlier
commit builds the same runs in between (from a git worktree of its own), so that both builds have
the same machine. What the models score is drawn by chance and means nothing.

Run it with `python benchmarks/leaderboard_scale.py [--runs 200] [--problems 1000] [--n 10]`; with
`--keep FOLDER` the runs are kept there and used again. Needs the extras site and dev.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard_runs import TASK, make_runs, rows_file

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
MOST_PAINT_MS, MOST_FIRST_BYTES, MOST_REBUILD_S = 300, 400_000, 15
"""The bars for 200 runs: first paint and size of the first page, and a build after one new run."""

CHILD = """
import inspect, json, os, sys, time
from pathlib import Path
from recode_eval.leaderboard.site import build

def note(text):
    print(f"  {time.perf_counter() - start:7.1f} s  {text}", file=sys.stderr, flush=True)

runs, rows, site, jobs, task, cache = sys.argv[1:]
kept = {"cache": Path(cache)} if "cache" in inspect.signature(build).parameters else {}
start = time.perf_counter()
built = build([Path(runs)], Path(site), data={task: rows}, note=note, jobs=int(jobs), **kept)
seconds, spent = time.perf_counter() - start, os.times()
print(json.dumps({
    "seconds": seconds, "runs": built.runs, "broken": len(built.broken), "pages": built.pages,
    "cpu_s": spent.user + spent.system + spent.children_user + spent.children_system,
}))
"""
"""A build by any version of the package, with what it keeps for the next build if it does."""


def build(place: Path, site: Path, jobs: int, code: Path = ROOT) -> dict[str, Any]:
    """Build with the package in `code`, in a process, and say what it and its children took."""
    arguments = [
        str(place / "runs"), str(place / "rows.jsonl"), str(site), str(jobs), TASK,
        str(place / "cache"),
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdout=subprocess.PIPE, text=True, cwd=code, env={**os.environ, "PYTHONPATH": str(code)},
    )  # fmt: skip
    memory = _Memory(process.pid)
    memory.start()
    output, _ = process.communicate()
    memory.over.set()
    if process.returncode:
        raise SystemExit(f"The build with {code} failed.")
    return {**json.loads(output), "peak_rss_mb": memory.rss / 1e6, "peak_pss_mb": memory.pss / 1e6}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Give a folder with the code of a commit."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "code")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True)


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


def first_bytes(site: Path) -> int:
    """Return the size of the first page with the scripts and styles that it loads."""
    page = (site / "index.html").read_bytes()
    loaded = set(re.findall(r'(?:src|stylesheet" href)="(static/[^"]+)"', page.decode()))
    return len(page) + sum((site / name).stat().st_size for name in loaded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the runs and the site")
    parser.add_argument("--against", metavar="COMMIT", help="build with this commit's code, too")
    parser.add_argument("--no-browser", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = (arguments.keep or Path(scratch)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        rows = rows_file(place / "rows.jsonl", arguments.problems)
        make_runs(range(arguments.runs), place / "runs", rows, arguments.n, arguments.jobs)
        report(place, rows, arguments)


def report(place: Path, rows: Path, arguments: argparse.Namespace) -> None:
    """Build, measure and print."""
    samples = arguments.runs * arguments.problems * arguments.n
    site, later, extra = place / "site", place / "later", arguments.runs
    shutil.rmtree(later, ignore_errors=True)  # of an earlier call
    size = sum(path.stat().st_size for path in (place / "runs").rglob("*.*"))
    print(f"{samples:,} samples, {size / 1e6:,.0f} MB; {platform.machine()}, {os.cpu_count()} CPUs")
    if arguments.against:
        with checked_out(arguments.against) as code:
            before = build(place, place / "site-before", arguments.jobs, code)
        print(_took(f"build by {arguments.against}", before, samples))
    for folder in (site, place / "cache"):
        shutil.rmtree(folder, ignore_errors=True)  # or it would be a rebuild
    found = build(place, site, arguments.jobs)
    print(f"{found['runs']} runs ({found['broken']} left out), {found['pages']} pages")
    print(_took("build", found, samples))
    print(f"memory: {found['peak_pss_mb']:.0f} MB PSS, {found['peak_rss_mb']:.0f} MB RSS in all")
    files = [path for path in site.rglob("*") if path.is_file()]
    print(f"site: {len(files):,} files, {sum(p.stat().st_size for p in files) / 1e6:,.0f} MB, "
          f"the largest {max(p.stat().st_size for p in files) / 1e6:.2f} MB")  # fmt: skip
    print(f"overview: {(site / 'index.html').stat().st_size / 1e3:.0f} KB, with scripts and styles "
          f"{first_bytes(site) / 1e3:.0f} KB (bar: {MOST_FIRST_BYTES / 1e3:.0f})")  # fmt: skip
    if not arguments.no_browser:
        for name, milliseconds in browse(site).items():
            bar = f" (bar: {MOST_PAINT_MS})" if name == "overview: first paint" else ""
            print(f"Chromium, {name}: {milliseconds:.0f} ms{bar}")
    make_runs(range(extra, extra + 1), later, rows, arguments.n, 1)
    [new] = later.iterdir()
    added = place / "runs" / new.name
    new.rename(added)
    try:
        again = build(place, site, arguments.jobs)
    finally:
        added.rename(new)
    print(_took(f"build after one new run (bar: {MOST_REBUILD_S} s)", again, samples))


def _took(name: str, found: dict[str, Any], samples: int) -> str:
    """Return the time by the clock and by the CPU: only the latter holds on a busy machine."""
    return (f"{name}: {found['seconds']:.1f} s, {found['cpu_s']:.1f} CPU s "
            f"({1e6 * found['cpu_s'] / samples:.0f} us a sample)")  # fmt: skip


if __name__ == "__main__":
    main()
