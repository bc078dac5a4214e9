"""The measurement: contenders in turn, in rounds, on the same programs.

Every round has its own part of the programs and its own random order of contenders, so that a busy
machine slows all of them down alike. Contenders run as many programs at once as there are workers.
For programs/s, more are waiting in line, as in an evaluation, so that a contender may fetch its
next one while one runs; latencies are taken in a second pass, in which none waits.
"""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from throughput import measuring, mix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from docker import DockerClient

    from throughput.contenders import Answer, Contender
    from throughput.mix import Job

IN_LINE = 4
"""Programs per worker that are under way or waiting."""
QUIET = 0.05
"""Share of the processors that other processes may take without a round being run again."""


@dataclass
class Round:
    """What one contender did in one round."""

    programs: int
    wall_s: float
    cpu_s: float
    """Of everything that runs programs, and of `client_s`."""
    client_s: float
    """Of this process: sending programs, taking verdicts."""
    daemon_s: float
    """Of Docker's daemons, whoever they work for; at least."""
    others: float
    """Share of the machine's processors that other processes took."""
    latencies_s: list[float]

    @property
    def rate(self) -> float:
        """Programs per second."""
        return self.programs / self.wall_s


@dataclass
class Record:
    """Everything about one contender."""

    start_s: float = 0.0
    rounds: list[Round] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    """Programs that got different verdicts when they were run again."""
    unavailable: str = ""

    def total(self, what: str) -> float:
        """Sum over the rounds."""
        return float(sum(getattr(one, what) for one in self.rounds))

    @property
    def latencies_s(self) -> list[float]:
        """From handing in a program to having its verdicts, where no other waits before it."""
        return [seconds for one in self.rounds for seconds in one.latencies_s]

    @property
    def others(self) -> float:
        """Share of the machine's processors that other processes took, over all rounds."""
        return sum(one.others * one.wall_s for one in self.rounds) / self.total("wall_s")

    @property
    def rate(self) -> float:
        """Programs per second over all rounds."""
        return self.total("programs") / self.total("wall_s")

    def ms_each(self, what: str) -> float:
        """Milliseconds of CPU time per program."""
        return 1e3 * self.total(what) / self.total("programs")


def warm_up(contender: Contender, workers: int, kinds: Sequence[str]) -> float:
    """Run every kind of program on every slot, twice; return the seconds this took.

    Slow contenders keep nothing between programs: one run shows that they work.
    """
    began = time.perf_counter()
    jobs = mix.make_mix(40, 0, wrong_share=0.0, kinds=kinds)
    for kind in kinds:
        for job in [job for job in jobs if job.kind == kind][:2]:
            _run(contender, [job] * workers, workers, lambda *_: None, each_slot=True)
            if contender.slow:
                return time.perf_counter() - began
    return time.perf_counter() - began


def race(
    record: Record,
    contender: Contender,
    jobs: Sequence[Job],
    workers: int,
    client: DockerClient | None,
    tries: int = 1,
) -> None:
    """Let a contender run the programs of one round.

    If other processes took much of the machine meanwhile, again, up to `tries` times in all; the
    least disturbed one counts.
    """
    best: Round | None = None
    for _ in range(tries):
        one = _race_once(record, contender, jobs, workers, client)
        if best is None or one.others < best.others:
            best = one
        if best.others <= QUIET:
            break
    assert best is not None
    record.rounds.append(best)


def _race_once(
    record: Record,
    contender: Contender,
    jobs: Sequence[Job],
    workers: int,
    client: DockerClient | None,
) -> Round:
    latencies_s: list[float] = []
    in_line = 1 if contender.slow else IN_LINE

    def done(job: Job, answer: Answer, seconds: float) -> None:
        known = record.answers.setdefault(job.name, answer)
        if (known.passed, known.verdicts) != (answer.passed, answer.verdicts):
            record.unstable.append(job.name)
        record.answers[job.name] = answer
        if in_line == 1:
            latencies_s.append(seconds)

    inside = measuring.containers_cpu_s(client, contender.containers())
    before = measuring.read()
    _run(contender, jobs, workers, done, in_line=in_line)
    after = measuring.read()
    wall_s, client_s = after.time_s - before.time_s, after.own_s - before.own_s
    # A container that was replaced on the way counts from its start.
    for name, cpu_s in measuring.containers_cpu_s(client, contender.containers()).items():
        inside[name] = cpu_s - inside.get(name, 0.0)
    extra = sum(record.answers[job.name].extra_cpu_s for job in jobs)
    cpu_s = after.below_s - before.below_s + sum(inside.values()) + client_s + extra
    daemon_s = after.daemons_since(before)
    others_s = max(0.0, after.busy_s - before.busy_s - cpu_s - daemon_s)
    others = others_s / wall_s / (os.cpu_count() or 1)
    if in_line > 1:
        in_line = 1
        _run(contender, jobs, workers, done)
    return Round(len(jobs), wall_s, cpu_s, client_s, daemon_s, others, latencies_s)


def _run(
    contender: Contender,
    jobs: Sequence[Job],
    workers: int,
    done: Callable[[Job, Answer, float], None],
    *,
    in_line: int = 1,
    each_slot: bool = False,
) -> None:
    """Run jobs with `in_line` threads per slot; with `each_slot`, job number i runs on slot i."""
    waiting = iter(jobs)
    lock = threading.Lock()
    problems: list[BaseException] = []

    def serve(slot: int) -> None:
        try:
            for job in _taken(waiting, lock) if not each_slot else [jobs[slot]]:
                began = time.perf_counter()
                answer = contender.run(slot, job.program)
                done(job, answer, time.perf_counter() - began)
        except BaseException as problem:  # noqa: BLE001 - raised again below
            problems.append(problem)

    slots = [*range(workers)] * in_line
    threads = [threading.Thread(target=serve, args=(slot,)) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def _taken(waiting: Iterator[Job], lock: threading.Lock) -> Iterator[Job]:
    while True:
        with lock:
            job = next(waiting, None)
        if job is None:
            return
        yield job


def grade(records: dict[str, Record], jobs: Sequence[Job]) -> None:
    """Compare all verdicts with what must come out, else with what most contenders say."""
    for job in jobs:
        given = {n: r.answers[job.name] for n, r in records.items() if job.name in r.answers}
        full = [answer.verdicts for answer in given.values() if answer.verdicts is not None]
        if job.expected is None and not full:
            continue
        expected = job.expected or max(full, key=full.count)
        for name, answer in given.items():
            if answer.passed != all(expected) or answer.verdicts not in {None, expected}:
                records[name].wrong.append(job.name)
    for record in records.values():
        record.wrong += [f"{name} (changing)" for name in dict.fromkeys(record.unstable)]


def orders(names: Sequence[str], rounds: int, seed: int) -> list[list[str]]:
    """A random order of the contenders for every round."""
    source = random.Random(f"order {seed}")
    return [source.sample(list(names), len(names)) for _ in range(rounds)]
