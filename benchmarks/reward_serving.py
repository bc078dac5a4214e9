"""What the ways to a reward cost beside the sandbox: API, async, batch, and a server.

The same distinct answers, half of them right, go directly to the sandbox (programs that are ready,
a thread of execution each), then through `RewardGrader` one by one, async and as a batch, and
through `recode-eval serve-rewards` from 1 and from 8 processes. All in one run, in rounds that take
turns, with a sandbox of the same size. Prints answers per second, their ratio to direct submission,
the CPU time that this process and the server spend on an answer (a figure that a busy machine
leaves alone), and the latency that a way adds to a single answer. Needs the extra `serve`:

    python benchmarks/reward_serving.py --sandbox landlock --workers 2
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval import Limits, RewardClient, RewardGrader, SandboxOptions, load_task
from recode_eval.sandbox import open_router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recode_eval.sandbox.base import Sandbox

TASK = load_task("arena-mini")
PROBLEMS = TASK.problems[:16]
RANKS = 8


class Answers:
    """Distinct answers: none may be served from an earlier one."""

    def __init__(self) -> None:
        self._made = 0

    def take(self, count: int) -> list[tuple[str, str]]:
        """Return new ones, as `(problem id, text)`."""
        """Return new ones, as `(problem id, text)`."""
        found = []
        for _ in range(count):
            problem = PROBLEMS[self._made % len(PROBLEMS)]
            kind = ("reference", "stale")[self._made // len(PROBLEMS) % 2]
            self._made += 1
            code = f"{problem.solutions[kind]}\n# {self._made}"
            found.append((problem.id, f"```python\n{code}\n```"))
        return found


def direct(sandbox: Sandbox, answers: list[tuple[str, str]]) -> Callable[[], int]:
    """Return the submission of the answers' programs, which are built before."""
    condition = TASK.task.conditions[0]
    limits = Limits(cpu_s=4, wall_s=40)
    programs = [
        TASK.task.programs(TASK.problem(key), text[10:-4])[condition] for key, text in answers
    ]

    def submit() -> int:
        futures = [sandbox.submit(program, limits) for program in programs]
        return sum(future.result().passed for future in futures)

    return submit


@contextmanager
def server(options: SandboxOptions) -> Iterator[tuple[str, int]]:
    """Start a server; yield its URL and process id."""
    command = [sys.executable, "-m", "recode_eval", "serve-rewards", "--tasks", "arena-mini",
               "--port", "0", "--sandbox", options.tier]  # fmt: skip
    if options.workers is not None:
        command += ["--workers", str(options.workers)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "listening on " in line:
                yield line.split("listening on ")[1].strip(), process.pid
                break
        else:
            raise SystemExit("The server did not start: pip install 'recode-eval[serve]'")
        process.terminate()
        process.wait(60)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, without those that it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rank(url: str, work: Any, done: Any) -> None:
    """One of several processes with a client of its own."""
    with RewardClient("arena-mini", url) as client:
        while (answers := work.get()) is not None:
            done.put(sum(client.rewards(answers)))


class Ranks:
    """Processes that were started before the clock."""

    def __init__(self, url: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._work = [context.SimpleQueue() for _ in range(count)]
        self._done = context.SimpleQueue()
        self._processes = [
            context.Process(target=rank, args=(url, work, self._done)) for work in self._work
        ]
        for process in self._processes:
            process.start()

    def grade(self, answers: list[tuple[str, str]]) -> int:
        """Share answers among the processes; return how many pass."""
        """Share answers among the processes; return how many pass."""
        count = len(self._work)
        for n, work in enumerate(self._work):
            work.put(answers[n::count])
        return int(sum(self._done.get() for _ in self._work))

    def close(self) -> None:
        """End the processes."""
        for work in self._work:
            work.put(None)
        for process in self._processes:
            process.join(30)


def one_by_one(grader: Any, answers: list[tuple[str, str]]) -> int:
    return int(sum(grader(*answer) for answer in answers))


def at_once(grader: Any, answers: list[tuple[str, str]]) -> int:
    async def main() -> int:
        found = await asyncio.gather(*(grader.arewards([answer]) for answer in answers))
        return int(sum(reward for [reward] in found))

    return asyncio.run(main())


def measure(options: SandboxOptions, count: int, rounds: int, singles: int) -> dict[str, Any]:
    """Return answers per second (median of the rounds) and ms of single answers, by way."""
    answers = Answers()
    with ExitStack() as closing:
        sandbox = closing.enter_context(
            open_router(
                options.tier, workers=options.workers, isolation="split",
                environment=TASK.task.spec.environment,
            )
        )  # fmt: skip
        grader = closing.enter_context(RewardGrader(TASK, options))
        url, pid = closing.enter_context(server(options))
        client = closing.enter_context(RewardClient("arena-mini", url))
        ranks = {n: Ranks(url, n) for n in (1, RANKS)}
        for found in ranks.values():
            closing.callback(found.close)
        ways: dict[str, Callable[[list[tuple[str, str]]], Callable[[], int]]] = {
            "direct": lambda batch: direct(sandbox, batch),
            "API, one by one": lambda batch: lambda: one_by_one(grader, batch),
            "API, async": lambda batch: lambda: at_once(grader, batch),
            "API, batch": lambda batch: lambda: int(sum(grader.rewards(batch))),
            "served, 1 process": lambda batch: lambda: ranks[1].grade(batch),
            f"served, {RANKS} processes": lambda batch: lambda: ranks[RANKS].grade(batch),
        }
        for prepare in ways.values():  # limits are measured and libraries imported
            assert prepare(answers.take(32))() == 16
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        spent: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, prepare in ways.items():
                run = prepare(answers.take(count))
                began, before = time.perf_counter(), time.process_time() + cpu_s(pid)
                passed = run()
                seconds[way].append(time.perf_counter() - began)
                spent[way].append(time.process_time() + cpu_s(pid) - before)
                assert passed == count // 2, (way, passed)
        single: dict[str, list[float]] = {"direct": [], "API": [], "served": []}
        for _ in range(singles):
            for way, grade in (("direct", None), ("API", grader), ("served", client)):
                batch = answers.take(1)
                call: Callable[[], Any] = (
                    direct(sandbox, batch) if grade is None else partial(grade, *batch[0])
                )
                began = time.perf_counter()
                call()
                single[way].append(1e3 * (time.perf_counter() - began))
        return {
            "tier": sandbox.info.tier,
            "workers": sandbox.info.workers,
            "answers": count,
            "rounds": rounds,
            "per_second": {way: count / statistics.median(took) for way, took in seconds.items()},
            "cpu_ms": {way: 1e3 * statistics.median(s) / count for way, s in spent.items()},
            "single_ms": {way: statistics.median(took) for way, took in single.items()},
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--answers", type=int, default=256, help="per round, in multiples of 32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--singles", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    options = SandboxOptions(tier=given.sandbox, workers=given.workers)
    found = measure(options, given.answers, given.rounds, given.singles)
    if given.json:
        print(json.dumps(found, indent=2))
        return 0
    print(
        f"{found['tier']}, {found['workers']} workers; median of {found['rounds']} rounds of "
        f"{found['answers']} answers"
    )
    base = found["per_second"]["direct"]
    for way, rate in found["per_second"].items():
        print(
            f"  {way:<22} {rate:8.1f} answers/s   {rate / base:6.2f} of direct   "
            f"{found['cpu_ms'][way]:5.2f} ms of CPU beside the sandbox"
        )
    base = found["single_ms"]["direct"]
    for way, took in found["single_ms"].items():
        print(f"  a single answer, {way:<7} {took:6.1f} ms   {took - base:+6.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
